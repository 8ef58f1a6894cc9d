"""Every row of the table of image families, on a tiny checkpoint, against one picture at a time through transformers.

The oracle knows nothing of our table: it reads the residual stream where the library's own modules stand, takes
branches as differences of the stream, and pools by counts that are written down here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conceptprobe.errors import ConceptprobeError, CorruptError, MissingError, UsageError
from conceptprobe.models import resolve
from conceptprobe.models.families.image import IMAGE_FAMILIES
from conceptprobe.models.image_folder import ImageSpec
from conceptprobe.models.options import Options, with_options
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_images import (
    PATCH,
    PROCESSORS,
    SIDE,
    VISION,
    picture,
    pictures,
    pixels,
    save_image_model,
    save_processor,
    shown,
)
from models.tiny_models import collect, largest_error

TOLERANCE = 1e-5
FAMILIES = sorted(IMAGE_FAMILIES)
SPECIALS = {
    "vit": 1,
    "deit": 2,
    "beit": 1,
    "data2vec-vision": 1,
    "dinov2": 1,
    "dinov2_with_registers": 4,
    "dinov3_vit": 4,
    "vit_mae": 1,
    "vit_msn": 1,
    "clip_vision_model": 1,
}
"""Class token, distillation token, registers."""
BLOCKS = {
    "vit": "ViTLayer",
    "deit": "DeiTLayer",
    "beit": "BeitLayer",
    "data2vec-vision": "Data2VecVisionLayer",
    "dinov2": "Dinov2Layer",
    "dinov2_with_registers": "Dinov2WithRegistersLayer",
    "dinov3_vit": "DINOv3ViTLayer",
    "vit_mae": "ViTLayer",
    "vit_msn": "ViTMSNLayer",
    "ijepa": "IJepaLayer",
    "clip_vision_model": "CLIPEncoderLayer",
    "siglip_vision_model": "SiglipEncoderLayer",
    "siglip2_vision_model": "Siglip2EncoderLayer",
    "swin": "SwinLayer",
    "swinv2": "Swinv2Layer",
    "mobilenet_v2": "MobileNetV2InvertedResidual",
    "resnet": "ResNetBottleNeckLayer",
    "convnext": "ConvNextLayer",
    "convnextv2": "ConvNextV2Layer",
    "dinov3_convnext": "DINOv3ConvNextLayer",
}
"""The library's class of a block."""
STAGED = {"mobilenet_v2": 16, "resnet": 5, "convnext": 5, "convnextv2": 5, "dinov3_convnext": 5, "swin": 5, "swinv2": 5}
"""Blocks of the families that work in stages; all others have 3."""
SECOND_NORM = {
    **dict.fromkeys(
        ("vit", "deit", "beit", "data2vec-vision", "vit_mae", "vit_msn", "ijepa", "swin"), "layernorm_after"
    ),
    **dict.fromkeys(("dinov2", "dinov2_with_registers", "dinov3_vit"), "norm2"),
    **dict.fromkeys(("clip_vision_model", "siglip_vision_model", "siglip2_vision_model"), "layer_norm2"),
    "swinv2": "intermediate",
}
"""What reads the stream between attention and feed-forward layer."""
NO_POOLED = ("vit_mae", "vit_msn", "ijepa", "data2vec-vision")
"""As the library saves them without a head: the first two never pool."""
EAGER = {"swinv2", "mobilenet_v2", "resnet", "convnext", "convnextv2", "dinov3_convnext"}
PRECISIONS = (
    "beit",
    "clip_vision_model",
    "convnextv2",
    "dinov2",
    "dinov3_vit",
    "mobilenet_v2",
    "siglip2_vision_model",
    "swin",
    "vit_mae",
)
KINDS = {"siglip_vision_model": "SiglipVisionModel", "siglip2_vision_model": "Siglip2VisionModel"}

Tiny = Callable[[str], tuple[Path, Any]]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """model_type -> folder of a tiny checkpoint, and the network that was saved in it, with eager attention."""

    @cache
    def made(model_type: str) -> tuple[Path, Any]:
        folder = tmp_path_factory.mktemp(model_type)
        net = save_image_model(folder, model_type, kind=KINDS.get(model_type, "AutoModel"))
        net.set_attn_implementation("eager")
        return folder, net

    return made


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Stimulus]:
    """Pictures of five sizes, wide and high."""
    return pictures(tmp_path_factory.mktemp("pictures"), 5)


def spec_of(folder: Path) -> ImageSpec:
    found = resolve(str(folder))
    assert isinstance(found, ImageSpec)
    return found


def rows_of(spec: ImageSpec, items: list[Stimulus], sites: tuple[str, ...] = ()) -> dict[Any, np.ndarray]:
    """Rows of these sites, or of all, under every pooling."""
    return collect(spec.load(), items, sites or (*spec.sites, *spec.extra_sites), spec.poolings)


def unmasked(net: Any) -> Any:
    """MAE's encoder that sees everything is a ViT with the same weights."""
    from transformers import ViTConfig, ViTModel

    vit = ViTModel(ViTConfig(**VISION["vit"]), add_pooling_layer=False)
    vit.load_state_dict(net.state_dict())
    vit.set_attn_implementation("eager")
    return vit.eval()


def stream_of(net: Any, model_type: str, inputs: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], Any]:
    """{site: state} of one picture, branches as differences of the stream, and the output of the library."""
    seen: dict[str, torch.Tensor] = {}
    middle: dict[int, torch.Tensor] = {}
    entered: dict[int, torch.Tensor] = {}
    handles = []
    blocks = [module for module in net.modules() if type(module).__name__ == BLOCKS[model_type]]

    def entering(where: dict[int, torch.Tensor], i: int) -> Any:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            where[i] = args[0] if args else kwargs["hidden_states"]

        return hook

    def leaving(i: int) -> Any:
        return lambda module, args, out: seen.update({f"resid_post.{i}": out[0] if isinstance(out, tuple) else out})

    for i, block in enumerate(blocks):
        handles.append(block.register_forward_pre_hook(entering(entered, i), with_kwargs=True))
        handles.append(block.register_forward_hook(leaving(i)))
        if model_type in SECOND_NORM:
            norm = getattr(block, SECOND_NORM[model_type])
            handles.append(norm.register_forward_pre_hook(entering(middle, i), with_kwargs=True))
    with torch.no_grad():
        out = net(**inputs, output_hidden_states=True)
    for handle in handles:
        handle.remove()
    seen["embed"] = entered[0]
    for i, state in middle.items():
        seen[f"attn_out.{i}"] = state - entered[i]
        seen[f"mlp_out.{i}"] = seen[f"resid_post.{i}"] - state
    return seen, out


def as_positions(state: torch.Tensor) -> torch.Tensor:
    return state.flatten(2).mT if state.ndim == 4 else state


def final_of(net: Any, model_type: str, out: Any) -> torch.Tensor:
    last = as_positions(out.last_hidden_state)
    after = {
        "clip_vision_model": lambda: net.post_layernorm(last),
        "convnext": lambda: net.layernorm(last),
        "convnextv2": lambda: net.layernorm(last),
        "dinov3_convnext": lambda: last[:, 1:],
    }
    with torch.no_grad():
        return after.get(model_type, lambda: last)()


def oracle(model_type: str, net: Any, inputs: dict[str, torch.Tensor]) -> tuple[dict[Any, torch.Tensor], Any]:
    """{(site, pooling): row} of one picture, and the library's output."""
    seen, out = stream_of(net, model_type, inputs)
    seen["final"] = final_of(net, model_type, out)
    skip = SPECIALS.get(model_type, 0)
    real = inputs.get("pixel_attention_mask")
    rows: dict[Any, torch.Tensor] = {}
    for site, state in seen.items():
        positions = as_positions(state)[0]
        patches = positions[skip:] if real is None else positions[: int(real.sum())]
        rows[site, "mean"] = patches.mean(0)
        if skip:
            rows[site, "cls"] = positions[0]
    if model_type not in NO_POOLED:
        rows |= {("pooled", p): out.pooler_output.flatten(1)[0] for p in (("mean", "cls") if skip else ("mean",))}
    return rows, out


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_site_is_what_one_picture_gives_by_itself(model_type: str, tiny: Tiny, items: list[Stimulus]) -> None:
    folder, saved = tiny(model_type)
    spec = spec_of(folder)
    depth = STAGED.get(model_type, 3)
    assert (spec.info.family, spec.info.modalities, spec.info.n_layers) == (model_type, ("image",), depth)
    assert spec.info.d_model == (1280 if model_type == "mobilenet_v2" else 32)
    assert spec.info.n_params == sum(p.numel() for p in saved.parameters())
    pooled = () if model_type in NO_POOLED else ("pooled",)
    assert spec.sites == ("embed", *(f"resid_post.{i}" for i in range(depth)), "final", *pooled)
    assert spec.poolings == (("mean", "cls") if model_type in SPECIALS else ("mean",))
    branches = [f"{kind}.{i}" for i in range(depth) for kind in ("attn_out", "mlp_out")]
    assert list(spec.extra_sites) == (branches if model_type in SECOND_NORM else [])

    net = unmasked(saved) if model_type == "vit_mae" else saved
    alone = [oracle(model_type, net, inputs) for inputs in shown(folder, items)]
    expected = {cell: torch.stack([rows[cell] for rows, _ in alone]).numpy() for cell in alone[0][0]}
    for cell in expected:
        assert (expected[cell].std(0).max() > 1e-3) == (cell != ("embed", "cls")), f"{cell} and the picture"
    model = spec.load()
    assert model.net.config._attn_implementation == ("eager" if model_type in EAGER else "sdpa")
    for model.batch_pictures in (1, 2, 100):
        found = collect(model, items, (*spec.sites, *spec.extra_sites), spec.poolings)
        assert found.keys() == expected.keys()
        for (site, pooling), rows in found.items():
            scale = np.abs(expected[_stream(site), pooling]).max()
            error = np.abs(rows - expected[site, pooling]).max()
            assert error < TOLERANCE * scale, (site, pooling, error / scale)


def _stream(site: str) -> str:
    """The site whose rounding it has: a branch is a difference of two states."""
    kind, _, i = site.partition(".")
    return f"resid_post.{i}" if kind in ("attn_out", "mlp_out") else site


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_hidden_states_of_the_library_are_ours(model_type: str, tiny: Tiny, items: list[Stimulus]) -> None:
    """It lists what enters the first block and leaves each, or each stage; the last may be behind the final norm."""
    folder, saved = tiny(model_type)
    spec, net = spec_of(folder), unmasked(saved) if model_type == "vit_mae" else saved
    (inputs,) = shown(folder, items[:1])
    rows = rows_of(spec, items[:1])
    skip, real = SPECIALS.get(model_type, 0), inputs.get("pixel_attention_mask")
    with torch.no_grad():
        states = [as_positions(h)[0] for h in net(**inputs, output_hidden_states=True).hidden_states]
    means = [(h[skip:] if real is None else h[: int(real.sum())]).mean(0).numpy() for h in states]

    def has(mean: np.ndarray) -> bool:
        same = [r[0] for (site, p), r in rows.items() if p == "mean" and r.shape[1] == len(mean) and "_out" not in site]
        return any(np.abs(r - mean).max() < TOLERANCE * np.abs(mean).max() for r in same)

    if len(states) == spec.info.n_layers + 1:
        sites = ("embed", *(f"resid_post.{i}" for i in range(spec.info.n_layers - 1)))
        for site, mean in zip(sites, means[:-1], strict=True):
            assert np.abs(rows[site, "mean"][0] - mean).max() < TOLERANCE * np.abs(mean).max(), site
    else:
        assert model_type in STAGED
    # Swin lists what a stage hands on, which is behind the merging of patches and leaves no block.
    inside = [mean for mean in means if has(mean)]
    assert len(inside) >= (2 if model_type.startswith("swin") else len(means) - 1), model_type


@pytest.mark.parametrize("model_type", FAMILIES)
def test_twins_are_finite_and_differ(model_type: str, tiny: Tiny, items: list[Stimulus]) -> None:
    spec = spec_of(tiny(model_type)[0])
    sites = (*spec.sites, *spec.extra_sites)
    zero, one = (rows_of(spec.twin(seed), items, sites) for seed in (0, 1))
    trained = rows_of(spec, items, sites)
    for (site, pooling), values in zero.items():
        assert np.isfinite(values).all(), site
        if (site, pooling) != ("embed", "cls"):
            assert np.abs(values - values.mean(0)).max() > 1e-6 * np.abs(values).max(), (site, pooling)
            for other in (one, trained):
                assert np.abs(values - other[site, pooling]).max() > 1e-3 * np.abs(values).max(), (site, pooling)


@pytest.mark.parametrize("model_type", [m for m in FAMILIES if IMAGE_FAMILIES[m].layout == "btd"])
def test_a_wrong_count_of_special_positions_is_refused(model_type: str, tiny: Tiny, items: list[Stimulus]) -> None:
    spec = spec_of(tiny(model_type)[0])
    assert spec.specials == SPECIALS.get(model_type, 0)
    for wrong in {spec.specials + 1, max(spec.specials - 1, 0), 0} - {spec.specials}:
        with pytest.raises(UsageError, match=f"positions, but {wrong} special ones and"):
            rows_of(dataclasses.replace(spec, specials=wrong), items[:1], ("embed",))


@pytest.mark.parametrize("model_type", PRECISIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.15), ("float16", 0.03), ("float64", 1e-5)])
def test_other_precisions_are_near_float32(
    dtype: Any, tolerance: float, model_type: str, tiny: Tiny, items: list[Stimulus]
) -> None:
    spec = spec_of(tiny(model_type)[0])
    other = with_options(spec, Options(dtype=dtype))
    assert (other.info.dtype, other.info.sha256 != spec.info.sha256) == (dtype, True)
    rows, exact = rows_of(other, items[:2]), rows_of(spec, items[:2])
    for (site, pooling), values in rows.items():
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        scale = np.abs(exact[_stream(site), pooling]).max()
        error = np.abs(values - exact[site, pooling]).max()
        assert error < tolerance * scale, (site, pooling, error / scale)
        assert error > 0 or site == "embed", "the same to the last bit: it was computed in float32"


@pytest.mark.parametrize("model_type", ["beit", "dinov2", "dinov2_with_registers", "dinov3_vit", "swinv2"])
def test_positions_are_interpolated_as_the_library_does(model_type: str, tmp_path: Path, items: list[Stimulus]) -> None:
    """A model configured for 48 pixels is shown 35 and more, wide and high, which are no whole number of patches."""
    net = save_image_model(tmp_path, model_type, image_size=48)
    net.set_attn_implementation("eager")
    keeps_shape = {"image_processor_type": "MobileNetV2ImageProcessor", "do_center_crop": False}
    save_processor(tmp_path, **keeps_shape, size={"shortest_edge": 35})
    each = shown(tmp_path, items)
    assert len({inputs["pixel_values"].shape for inputs in each}) > 2
    alone = [oracle(model_type, net, inputs)[0] for inputs in each]
    found = rows_of(spec_of(tmp_path), items)
    for (site, pooling), rows in found.items():
        expected = torch.stack([one[site, pooling] for one in alone]).numpy()
        scale = max(float(one[_stream(site), pooling].abs().max()) for one in alone)
        assert np.abs(rows - expected).max() < TOLERANCE * scale, (site, pooling)


@pytest.mark.parametrize("model_type", ["swin", "vit", "clip_vision_model", "vit_mae"])
def test_a_model_of_one_size_refuses_others(model_type: str, tmp_path: Path, items: list[Stimulus]) -> None:
    save_image_model(tmp_path, model_type)
    save_processor(tmp_path, size={"height": 48, "width": 32})
    with pytest.raises(CorruptError, match="does not take the pictures its processor makes"):
        rows_of(spec_of(tmp_path), items, ("embed",))


def test_what_a_smaller_picture_leaves_behind_in_swin(tmp_path: Path) -> None:
    """Why pictures of one size are asked for: after a smaller one the library never shifts those windows again."""
    net = save_image_model(tmp_path, "swin", depths=[1, 1, 2])
    noise = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, again = (net(noise).pooler_output for _ in range(2))
        net(noise[..., :24, :24])
        after = net(noise).pooler_output
    assert torch.equal(before, again)
    assert (before - after).abs().max() > 1e-3


def test_what_half_precision_cannot_hold_is_said(tiny: Tiny, items: list[Stimulus]) -> None:
    """SwinV2 divides by the length of its keys, and those of its padding are 0."""
    half = with_options(spec_of(tiny("swinv2")[0]), Options(dtype="float16"))
    with pytest.raises(ConceptprobeError, match=r"at attn_out.0 that are not finite") as error:
        rows_of(half, items)
    assert "float16" in error.value.hint


def test_masked_autoencoders_are_read_whole_and_in_order(tiny: Tiny, items: list[Stimulus]) -> None:
    folder, net = tiny("vit_mae")
    (inputs,) = shown(folder, items[:1])
    with torch.no_grad():
        masked = [net(**inputs).last_hidden_state for _ in range(2)]
    assert masked[0].shape[1] == 1 + (SIDE // PATCH) ** 2 // 4
    assert not torch.equal(*masked)
    model = spec_of(folder).load()
    entered: list[torch.Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda module, args: entered.append(args[0]))
    one, other = (collect(model, items, model.sites, model.poolings) for _ in range(2))
    assert all(np.array_equal(one[cell], other[cell]) for cell in one)
    with torch.no_grad():
        in_order = unmasked(net).embeddings(pixels(folder, items))
    assert torch.allclose(entered[0], in_order, atol=1e-5)
    assert model.net.config.mask_ratio == 0


def test_how_far_pictures_are_padded_changes_no_number(tmp_path: Path) -> None:
    """NaFlex pads every picture to one number of patches."""
    from PIL import Image

    save_image_model(tmp_path, "siglip2_vision_model", kind="Siglip2VisionModel")
    rng = np.random.default_rng(5)
    made = []
    for i, (rows, columns) in enumerate(((2, 3), (4, 4), (1, 7))):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (rows * PATCH, columns * PATCH, 3), dtype=np.uint8)).save(path)
        made.append(picture(path))
    found = []
    for most in (16, 40):
        save_processor(tmp_path, **{**PROCESSORS["siglip2_vision_model"], "do_resize": False, "max_num_patches": most})
        found.append(rows_of(spec_of(tmp_path), made))
    assert largest_error(*found) < TOLERANCE


def test_a_processor_without_masks_is_said(tmp_path: Path, items: list[Stimulus]) -> None:
    save_image_model(tmp_path, "siglip2_vision_model", kind="Siglip2VisionModel")
    save_processor(tmp_path)
    with pytest.raises(CorruptError, match="it lacks pixel_attention_mask, spatial_shapes"):
        rows_of(spec_of(tmp_path), items, ("embed",))


def test_dinov3_is_shown_pictures_without_a_file_that_says_how(tmp_path: Path, items: list[Stimulus]) -> None:
    save_image_model(tmp_path, "dinov3_vit", image_size=224, patch_size=56)
    before = json.loads((tmp_path / "preprocessor_config.json").read_text())
    published = {
        "image_processor_type": "DINOv3ViTImageProcessorFast",
        "size": {"height": 224, "width": 224},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "do_center_crop": None,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**before, **published}))
    told = rows_of(spec_of(tmp_path), items)
    (tmp_path / "preprocessor_config.json").unlink()
    spec = spec_of(tmp_path)
    assert spec.processor.origin == "default of dinov3_vit"
    assert largest_error(rows_of(spec, items), told) == 0


def test_a_processor_of_our_own_says_what_it_cannot_do(tmp_path: Path, items: list[Stimulus]) -> None:
    save_image_model(tmp_path, "dinov3_vit")
    save_processor(tmp_path, **PROCESSORS["dinov3_vit"], size={"shortest_edge": 32})
    with pytest.raises(CorruptError, match="size needs a height and a width"):
        rows_of(spec_of(tmp_path), items, ("embed",))


@pytest.mark.parametrize("reads", ["image", "text"])
def test_a_device_that_is_not_there_is_named(reads: str, tiny: Tiny, folders: dict[str, Path]) -> None:
    folder = tiny("vit")[0] if reads == "image" else folders["bert"]
    absent = f"cuda:{max(7, torch.cuda.device_count())}"
    with pytest.raises(MissingError, match=f"device '{absent}' is not here") as missing:
        resolve(str(folder), options=Options(device=absent)).load()
    assert "--device cpu" in missing.value.hint
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        resolve(str(folder), options=Options(device="gpu")).load()
    here = resolve(str(folder), options=Options(device="cpu"))
    assert here.info.sha256 == resolve(str(folder)).info.sha256
    loaded: Any = here.load()
    assert loaded.net.device == torch.device("cpu")
