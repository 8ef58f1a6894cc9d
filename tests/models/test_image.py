"""Image models: every family's sites are what the library computes, whatever the batch and the file."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conceptprobe.errors import ConceptprobeError, CorruptError, PictureError, UsageError
from conceptprobe.models import resolve, towers
from conceptprobe.models.image import ImageModel
from models.tiny_images import PROCESSORS, picture, pictures, pixels, save_image_model, save_processor
from models.tiny_models import collect, largest_error, one_by_one

TOLERANCE = 1e-5
HEADS = {
    "vit": "ViTForImageClassification",
    "deit": "DeiTForImageClassificationWithTeacher",
    "beit": "BeitForImageClassification",
    "dinov2": "Dinov2ForImageClassification",
    "dinov2_with_registers": "Dinov2WithRegistersForImageClassification",
    "data2vec-vision": "Data2VecVisionForImageClassification",
    "vit_mae": "ViTMAEForPreTraining",
    "ijepa": "IJepaForImageClassification",
    "swin": "SwinForImageClassification",
    "swinv2": "Swinv2ForImageClassification",
    "mobilenet_v2": "MobileNetV2ForImageClassification",
    "resnet": "ResNetForImageClassification",
    "convnext": "ConvNextForImageClassification",
    "convnextv2": "ConvNextV2ForImageClassification",
}


@pytest.fixture
def model(vit_folder: Path) -> ImageModel:
    loaded = resolve(str(vit_folder)).load()
    assert isinstance(loaded, ImageModel)
    return loaded


@pytest.mark.parametrize("model_type", sorted(HEADS))
def test_a_classification_head_is_stripped(model_type: str, tmp_path: Path) -> None:
    whole = save_image_model(tmp_path / "head", model_type, kind=HEADS[model_type])
    base = getattr(whole, whole.base_model_prefix)
    base.save_pretrained(tmp_path / "base")
    save_processor(tmp_path / "base", **PROCESSORS.get(model_type, {}))
    head, plain = resolve(str(tmp_path / "head")), resolve(str(tmp_path / "base"))
    assert head.sites == plain.sites
    assert head.info.n_params == plain.info.n_params == sum(p.numel() for p in base.parameters())
    items = pictures(tmp_path, 3)
    rows = [collect(spec.load(), items, spec.sites, spec.poolings) for spec in (head, plain)]
    assert largest_error(*rows) == 0
    # A pooler that is not in the file would be drawn at random.
    assert ("pooled" in head.sites) == (model_type not in ("vit", "deit", "vit_mae", "ijepa"))


def test_features_are_those_the_classifier_reads(tmp_path: Path) -> None:
    whole = save_image_model(tmp_path, "mobilenet_v2", kind=HEADS["mobilenet_v2"])
    items = pictures(tmp_path, 4)
    pooled = collect(resolve(str(tmp_path)).load(), items, ["pooled"], ["mean"])["pooled", "mean"]
    with torch.no_grad():
        logits = whole(pixels(tmp_path, items)).logits
        ours = whole.classifier(torch.from_numpy(pooled))
    assert torch.allclose(ours, logits, atol=1e-4)


def test_clip_vision_towers_with_and_without_projection(tmp_path: Path) -> None:
    items = pictures(tmp_path, 3)
    for kind in ("CLIPVisionModel", "CLIPVisionModelWithProjection"):
        net = save_image_model(tmp_path / kind, "clip_vision_model", kind=kind)
        spec = resolve(str(tmp_path / kind))
        assert spec.info.n_params == sum(p.numel() for p in net.parameters())
        rows = collect(spec.load(), items, ["pooled"], ["cls"])["pooled", "cls"]
        with torch.no_grad():
            out = net(pixels(tmp_path / kind, items))
        theirs = out.pooler_output if kind == "CLIPVisionModel" else out.image_embeds
        assert rows.shape == theirs.shape
        assert np.abs(rows - theirs.numpy()).max() < TOLERANCE * float(theirs.abs().max())


def test_the_forward_pass_stops_above_the_highest_wanted_block(model: ImageModel, tmp_path: Path) -> None:
    items = pictures(tmp_path, 2)
    whole = collect(model, items, model.sites, ["mean"])
    ran: list[int] = []
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
    for sites, blocks in ((["embed"], []), (["resid_post.1"], [0, 1]), (["embed", "final"], [0, 1, 2])):
        ran.clear()
        rows = collect(model, items, sites, ["mean"])
        assert set(rows) == {(site, "mean") for site in sites}
        assert largest_error(rows, {cell: whole[cell] for cell in rows}) == 0
        assert ran[: len(blocks)] == blocks


def test_the_order_of_pictures_changes_nothing(model: ImageModel, tmp_path: Path) -> None:
    items = pictures(tmp_path, 9)
    model.batch_pictures = 4
    straight = collect(model, items, model.sites, model.poolings)
    back = collect(model, items[::-1], model.sites, model.poolings)
    assert largest_error({cell: rows[::-1] for cell, rows in back.items()}, straight) < TOLERANCE


def test_pictures_of_several_sizes_share_a_batch(tmp_path: Path) -> None:
    """Where a processor keeps the shape of a picture, those of one shape go together."""
    save_image_model(tmp_path, "convnext")
    save_processor(tmp_path, image_processor_type="MobileNetV2ImageProcessor", size={"shortest_edge": 40})
    (tmp_path / "preprocessor_config.json").write_text(
        (tmp_path / "preprocessor_config.json").read_text()[:-1] + ', "do_center_crop": false}'
    )
    spec = resolve(str(tmp_path))
    loaded = spec.load()
    items = pictures(tmp_path, 9)
    assert len({loaded.processor(Image.open(s.file), s.id)["pixel_values"].shape for s in items}) > 3
    alone = one_by_one(loaded, items, spec.sites, ["mean"])
    assert largest_error(collect(loaded, items, spec.sites, ["mean"]), alone) < TOLERANCE


def unusual(folder: Path) -> dict[str, Path]:
    """One picture in every mode a file can have, each 40 x 24 with a gradient."""
    y, x = np.mgrid[0:24, 0:40]
    rgb = Image.fromarray(np.stack([x * 6, y * 10, 255 - x * 6], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [rgb, rgb.rotate(180)]
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgb.png": (rgb, {}),
        "rgba.png": (rgb.convert("RGBA"), {}),
        "grey.png": (rgb.convert("L"), {}),
        "palette.gif": (rgb.convert("P"), {}),
        "bilevel.png": (rgb.convert("1"), {}),
        "sixteen.png": (Image.fromarray((x * 1600).astype(np.uint16)), {}),
        "print.jpg": (rgb.convert("CMYK"), {}),
        "turned.jpg": (rgb, {"exif": exif}),
        "moving.gif": (frames[0], {"save_all": True, "append_images": frames[1:]}),
        "narrow.png": (rgb.resize((400, 4)), {}),
        "small.png": (rgb.resize((4, 4)), {}),
        "long.webp": (rgb.resize((8, 2000)), {}),
    }
    for name, (image, options) in made.items():
        image.save(folder / name, **options)
    return {name: folder / name for name in made}


@pytest.mark.parametrize("model_type", ["vit", "convnext"])
def test_pictures_of_every_mode_go_through(model_type: str, tmp_path: Path) -> None:
    save_image_model(tmp_path, model_type)
    files = unusual(tmp_path)
    items = [picture(path, name) for name, path in files.items()]
    rows = collect(resolve(str(tmp_path)).load(), items, ["embed", "final"], ["mean"])
    for values in rows.values():
        assert np.isfinite(values).all()
    by_name = dict(zip(files, rows["embed", "mean"], strict=True))
    for same in ("rgba.png", "moving.gif"):
        assert np.abs(by_name[same] - by_name["rgb.png"]).max() < 0.2 * np.abs(by_name["rgb.png"]).max(), same
    assert np.abs(by_name["turned.jpg"] - by_name["rgb.png"]).max() > 1e-3


def test_a_picture_that_would_grow_a_thousandfold_is_refused(tmp_path: Path) -> None:
    save_image_model(tmp_path, "convnext")
    save_processor(tmp_path, image_processor_type="MobileNetV2ImageProcessor", size={"shortest_edge": 256})
    Image.new("RGB", (8_000, 4)).save(tmp_path / "hair.png")
    loaded = resolve(str(tmp_path)).load()
    with pytest.raises(UsageError, match="'hair' is 8000 x 4 pixels, too narrow"):
        collect(loaded, [picture(tmp_path / "hair.png")], ["embed"], ["mean"])


def test_a_picture_that_is_gone_or_changed_is_said(model: ImageModel, tmp_path: Path) -> None:
    gone, changed, fine = pictures(tmp_path, 3)
    Path(gone.file).unlink()
    with Path(changed.file).open("ab") as handle:
        handle.write(b"more")
    with pytest.raises(PictureError, match="does not exist"):
        collect(model, [fine, gone], ["embed"], ["mean"])
    with pytest.raises(PictureError, match="has sha256"):
        collect(model, [fine, changed], ["embed"], ["mean"])


def test_a_twin_follows_its_seed_and_its_processor(vit_folder: Path, tmp_path: Path) -> None:
    spec, items = resolve(str(vit_folder)), pictures(tmp_path, 3)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    rows = {
        (seed, copy): collect(spec.twin(seed).load(), items, spec.sites, spec.poolings)
        for seed in (0, 1)
        for copy in "ab"
    }
    assert torch.equal(torch.random.get_rng_state(), before)
    trained = collect(spec.load(), items, spec.sites, spec.poolings)
    for cell in trained:
        assert np.array_equal(rows[0, "a"][cell], rows[0, "b"][cell])
        assert not np.allclose(rows[0, "a"][cell], rows[1, "a"][cell], atol=1e-3)
        assert not np.allclose(rows[0, "a"][cell], trained[cell], atol=1e-3)
    one = resolve(f"random:{vit_folder}#1")
    assert one.info == spec.twin(1).info
    assert (one.info.kind, one.info.name, one.sites) == ("twin", f"random:{vit_folder}#1", spec.sites)
    with pytest.raises(UsageError, match="random twin already"):
        one.twin(2)


def test_the_signal_of_an_untrained_mobilenet_reaches_its_end(tmp_path: Path) -> None:
    """Batch norms that know no statistics would let it shrink by a thousand in each block that has no shortcut."""
    save_image_model(tmp_path, "mobilenet_v2", initializer_range=0.02)
    twin = resolve(str(tmp_path)).twin(0)
    rows = collect(twin.load(), pictures(tmp_path, 5), twin.sites, ["mean"])
    for (site, _), values in rows.items():
        assert 1e-3 < values.std(0).mean() < 10, site


def test_weights_of_half_precision_are_read_as_float32(tmp_path: Path) -> None:
    net = save_image_model(tmp_path, "resnet").half()
    net.save_pretrained(tmp_path)
    spec, items = resolve(str(tmp_path)), pictures(tmp_path, 3)
    loaded = spec.load()
    assert {p.dtype for p in loaded.net.parameters()} == {torch.float32}
    assert {b.dtype for b in loaded.net.buffers() if b.is_floating_point()} == {torch.float32}
    with torch.no_grad():
        theirs = net.float()(pixels(tmp_path, items)).pooler_output.flatten(1).numpy()
    ours = collect(loaded, items, ["pooled"], ["mean"])["pooled", "mean"]
    assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()


def test_what_an_image_model_does_not_do_is_said(model: ImageModel, tmp_path: Path) -> None:
    (item,) = pictures(tmp_path, 1)
    text = dataclasses.replace(item, modality="text", content="soul")
    for pooling in ("concept_span", "context", "last"):
        with pytest.raises(UsageError, match=rf"\(image\) has no pooling '{pooling}'") as error:
            collect(model, [item], ["embed"], [pooling])
        assert error.value.hint == "it offers mean, cls"
    with pytest.raises(UsageError, match="reads image, and stimulus 'p0-0' is text"):
        collect(model, [text], ["embed"], ["mean"])


def test_a_wrong_number_of_special_positions_is_said(model: ImageModel, tmp_path: Path) -> None:
    model._specials = 2
    with pytest.raises(UsageError, match="17 positions, but 2 special ones and 16 patches"):
        collect(model, pictures(tmp_path, 1), ["embed"], ["mean"])


def test_a_processor_of_another_model_is_one_message(tmp_path: Path) -> None:
    save_image_model(tmp_path, "vit")
    save_processor(tmp_path, size={"height": 40, "width": 40})
    with pytest.raises(CorruptError, match="does not take the pictures its processor makes") as error:
        collect(resolve(str(tmp_path)).load(), pictures(tmp_path, 1), ["final"], ["mean"])
    assert "another model" in error.value.hint


def test_numbers_that_are_not_finite_are_an_error(model: ImageModel, tmp_path: Path) -> None:
    model.net.layers[1].mlp.fc1.bias.data[0] = float("nan")
    assert collect(model, pictures(tmp_path, 1), ["resid_post.0"], ["mean"])
    with pytest.raises(ConceptprobeError, match=r"at resid_post.1 that are not finite"):
        collect(model, pictures(tmp_path, 1), ["resid_post.1"], ["mean"])


def test_an_image_model_is_its_own_only_tower(vit_folder: Path) -> None:
    spec = resolve(str(vit_folder))
    assert towers(spec) == (spec,)


def mobilenet() -> Path:
    """The trained MobileNetV2 that lies beside the repository, where it does."""
    root = Path(os.environ.get("CONCEPTPROBE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
    return root / "models" / "mobilenet-v2"


@pytest.mark.skipif(not mobilenet().is_dir(), reason="mobilenet-v2 is not beside the repository")
def test_a_trained_network_is_loaded_as_it_was_trained(tmp_path: Path) -> None:
    from transformers import AutoModelForImageClassification, MobileNetV2ImageProcessorPil

    spec = resolve(str(mobilenet()))
    assert (spec.info.n_layers, spec.info.d_model, spec.info.modalities) == (16, 1280, ("image",))
    assert spec.processor.origin == "default of mobilenet_v2"
    items = pictures(tmp_path, 6)
    rows = collect(spec.load(), items, ["final", "pooled"], ["mean"])
    whole = AutoModelForImageClassification.from_pretrained(mobilenet()).eval()
    processor = MobileNetV2ImageProcessorPil()
    with torch.no_grad():
        x = torch.cat([processor(Image.open(s.file), return_tensors="pt")["pixel_values"] for s in items])
        theirs = whole.mobilenet_v2(x).pooler_output.numpy()
        logits = whole(x).logits
    for site in ("final", "pooled"):
        assert np.abs(rows[site, "mean"] - theirs).max() < TOLERANCE * np.abs(theirs).max()
    ours = whole.classifier(torch.from_numpy(rows["pooled", "mean"]))
    assert torch.allclose(ours, logits, atol=1e-4)
