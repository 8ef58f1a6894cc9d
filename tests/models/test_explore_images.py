"""An image family that is not in the table: found by watching noise pass through it, refused where it is not clear."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from conceptprobe.errors import CorruptError, MissingError, UsageError
from conceptprobe.models import resolve
from conceptprobe.models.base import ModelInfo
from conceptprobe.models.families.explore_images import find_image_family
from conceptprobe.models.families.image import IMAGE_FAMILIES, ImageFamily, unexplored
from conceptprobe.models.image_folder import ImageSpec
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_images import PATCH, SIDE, picture, pictures, save_image_model, save_processor, shown
from models.tiny_models import collect, largest_error

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.2,
    "image_size": SIDE,
    "patch_size": PATCH,
}
UNKNOWN: dict[str, tuple[str, int, dict[str, Any]]] = {
    "mlcd_vision_model": ("encoder.layers", 1, {"initializer_factor": 3.0}),
    "aimv2_vision_model": ("encoder.layers", 0, {}),
    "vitdet": ("encoder.layer", 0, {"mlp_ratio": 2, "window_size": 3, "window_block_indices": [0]}),
}
"""Families of transformers that have no row: path of their blocks, class tokens among their positions, configuration.
The second has a class token in its head, which is none; states of the third are maps."""


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Stimulus]:
    """Pictures wide and high."""
    return pictures(tmp_path_factory.mktemp("pictures"), 4)


def save(folder: Path, model_type: str, **config: Any) -> Path:
    """A tiny model of that family with the usual processor."""
    own = UNKNOWN[model_type][2] if model_type in UNKNOWN else {}
    save_image_model(folder, model_type, **{**SMALL, **own, **config})
    return folder


def spec_of(folder: Path) -> ImageSpec:
    found = resolve(str(folder))
    assert isinstance(found, ImageSpec)
    return found


def plain_rows(folder: Path, items: list[Stimulus], path: str, specials: int) -> dict[Any, np.ndarray]:
    """{(site, pooling): rows} of an eager forward pass of transformers, one picture at a time."""
    import transformers

    net = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    seen: dict[str, torch.Tensor] = {}
    blocks = list(net.get_submodule(path))

    def entering(_: Any, args: Any, kwargs: Any) -> None:
        seen["embed"] = args[0] if args else kwargs["hidden_states"]

    def leaving(i: int) -> Any:
        return lambda _, __, out: seen.update({f"resid_post.{i}": out[0] if isinstance(out, tuple) else out})

    blocks[0].register_forward_pre_hook(entering, with_kwargs=True)
    for i, block in enumerate(blocks):
        block.register_forward_hook(leaving(i))
    rows: dict[Any, list[np.ndarray]] = {}
    for inputs in shown(folder, items):
        with torch.no_grad():
            seen["final"] = net(**inputs).last_hidden_state
        for site, state in seen.items():
            places = state[0].flatten(1).T if state.ndim == 4 else state[0]
            rows.setdefault((site, "mean"), []).append(places[specials:].mean(0).numpy())
            if specials:
                rows.setdefault((site, "cls"), []).append(places[0].numpy())
    return {cell: np.stack(made) for cell, made in rows.items()}


@pytest.mark.parametrize("model_type", sorted(UNKNOWN))
def test_a_family_without_a_row_gives_the_numbers_of_a_plain_forward_pass(
    model_type: str, tmp_path: Path, items: list[Stimulus]
) -> None:
    assert model_type not in IMAGE_FAMILIES
    path, specials, _ = UNKNOWN[model_type]
    spec = spec_of(save(tmp_path / "model", model_type))
    assert spec.sites == ("embed", *(f"resid_post.{i}" for i in range(3)), "final")
    assert (spec.info.n_layers, spec.info.d_model, spec.specials, spec.extra_sites) == (3, 32, specials, ())
    assert spec.poolings == (("mean", "cls") if specials else ("mean",))
    model = spec.load()
    assert (model.row.blocks, model.row.layout) == (path, "bchw" if model_type == "vitdet" else "btd")
    plain = plain_rows(tmp_path / "model", items, path, specials)
    for model.batch_pictures in (1, 100):
        assert largest_error(collect(model, items, spec.sites, spec.poolings), plain) < 1e-5
    twins = [collect(spec.twin(seed).load(), items, spec.sites, spec.poolings) for seed in (0, 0, 1)]
    assert largest_error(twins[0], twins[1]) == 0
    for cell in plain.keys() - {("embed", "cls")}:  # no picture has been seen there, and untrained tokens are zero
        for other in (twins[2], plain):
            assert np.abs(twins[0][cell] - other[cell]).max() > 1e-3, cell


@pytest.mark.parametrize(
    ("model_type", "config", "message"),
    [
        (
            "yolos",
            {"image_size": [SIDE, SIDE]},
            "of the 117 positions .* 101 are the same .* 16 patches behind 1 class",
        ),
        ("pixio", {}, "8 are the same for every picture.* behind 8 class tokens"),
        ("sam_vision_model", {}, "no list of blocks was found"),
        ("videomae", {}, "does not run on a picture alone"),
        ("aimv2_vision_model", {"image_size": 2 * SIDE}, r"makes pictures of the size \(32, 32\), .* says 64"),
    ],
)
def test_a_family_that_cannot_be_told_is_refused_when_it_loads(
    model_type: str, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """Tokens behind the patches, several class tokens, maps whose width stands last, films, pictures of another size."""
    spec = spec_of(save(tmp_path / "model", model_type, **config))
    with pytest.raises(UsageError, match=message) as error:
        spec.load()
    assert "models/families/image.py" in str(error.value.hint)


def test_what_a_folder_lacks_is_said_before_or_when_it_loads(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "model", "mlcd_vision_model")
    weights = load_file(folder / "model.safetensors")
    dropped = next(name for name in weights if name.endswith("layers.1.layer_norm1.weight"))
    whole = weights.pop(dropped)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CorruptError, match="lack 1 tensors"):
        spec_of(folder).load()
    save_file({**weights, dropped: whole}, folder / "model.safetensors", metadata={"format": "pt"})
    assert spec_of(folder).load()
    (folder / "preprocessor_config.json").rename(tmp_path / "away")
    with pytest.raises(MissingError, match=r"has no preprocessor_config\.json"):
        resolve(str(folder))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_size": [16, 32]}, "none of hidden_size"),
        ({"num_hidden_layers": None}, "none of num_hidden_layers"),
        ({"num_channels": 1}, "takes pictures of 1 channels"),
        ({"vocab_size": 30}, "in none of the tables of models that read pictures"),
        ({"vision_config": {"a": 1}}, "in none of the tables of models that read pictures"),
        ({"is_encoder_decoder": True}, "in none of the tables of models that read pictures"),
    ],
)
def test_what_is_not_a_network_of_pictures_alone_is_refused_before_it_loads(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = save(tmp_path / "model", "mlcd_vision_model") / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(UsageError, match=message):
        resolve(str(tmp_path / "model"))


@pytest.mark.parametrize("model_type", ["aimv2_vision_model", "vitdet"])
def test_a_picture_of_another_size_than_the_noise_is_refused(model_type: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", model_type)
    save_processor(folder, size={"shortest_edge": SIDE})
    model = spec_of(folder).load()
    for width in (50, 80):
        Image.new("RGB", (width, 50), (9, 99, 199)).save(tmp_path / f"{width}.png")
    assert collect(model, [picture(tmp_path / "50.png")], ["final"], ("mean",))
    with pytest.raises(CorruptError, match="32 x 51 pixels for a model of 32"):
        collect(model, [picture(tmp_path / "80.png")], ["final"], ("mean",))


class Out(SimpleNamespace):
    """What a network of transformers returns."""

    last_hidden_state: torch.Tensor


class Net(nn.Module):
    """Pictures of 8 x 8 as 4 patches of width 12 to `blocks`; `before` and `after` change what enters and is returned."""

    config = SimpleNamespace(image_size=8, patch_size=4)
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, before: Callable[..., Any] = lambda x: x, after: Callable[..., Any] = lambda x: x) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.blocks = nn.ModuleList(nn.Tanh() for _ in range(2))
        self.before, self.after = before, after

    def forward(self, pixel_values: torch.Tensor) -> Out:
        hidden = self.before(self.patches(pixel_values).flatten(2).mT)
        for block in self.blocks:
            hidden = block(hidden)
        return Out(last_hidden_state=self.after(hidden))


def found(net: Net, specials: int) -> ImageFamily:
    info = ModelInfo("odd", "odd", "", "0" * 64, "odd", ("image",), 2, 12, 1, "float32", ())

    def processor(shown: Image.Image, _: str) -> dict[str, np.ndarray]:
        return {"pixel_values": np.asarray(shown, np.float32).transpose(2, 0, 1) / 255}

    return find_image_family(net, unexplored("odd", "", ()), info, specials, processor)


def joined(*parts: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Patches, for 0, and tokens that no picture changes, for 1, in this order."""

    def join(patches: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(patches[:, :1]) if token else patches for token in parts], 1)

    return join


def test_a_class_token_counts_where_it_stands_first_and_the_file_has_it() -> None:
    assert found(Net(), 0) == dataclasses.replace(unexplored("odd", "", ()), blocks="blocks")
    assert found(Net(joined(1, 0)), 1).blocks == "blocks"
    for parts, specials in (((0, 1), 1), ((1, 0), 0), ((0,), 1), ((1, 1, 0), 1), ((1, 1, 0), 2), ((1, 0, 0), 1)):
        with pytest.raises(UsageError, match="positions that enter its first block"):
            found(Net(joined(*parts)), specials)


def as_map(hidden: torch.Tensor) -> torch.Tensor:
    return hidden.mT.unflatten(2, (2, 2))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Net(after=lambda x: x[:, torch.randperm(4)]), "gives other numbers when a picture is shown to it again"),
        (Net(after=lambda x: x.mean(1)), "has not the shape of what its blocks do"),
        (Net(as_map, lambda x: x.flatten(2).mT), "has not the shape of what its blocks do"),
        (Net(lambda x: as_map(x).permute(0, 2, 3, 1)), "no list of blocks was found"),
        (Net(lambda x: x.mT), "no list of blocks was found"),
        (Net(lambda x: x.reshape(-1, 2, 12)), "no list of blocks was found"),
        (Net(lambda x: as_map(x).repeat(2, 1, 1, 1)), "no list of blocks was found"),
    ],
)
def test_shuffled_pooled_turned_and_cut_states_are_refused(net: Net, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        found(net, 0)


def test_a_map_has_no_class_token() -> None:
    assert found(Net(as_map), 0).layout == "bchw"
    with pytest.raises(UsageError, match="its states are maps"):
        found(Net(as_map), 1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"image_size": 8}, "says no patch_size"),
        ({"image_size": 8, "patch_size": 0}, "says no patch_size"),
        ({"image_size": 8, "patch_size": {"a": 1}}, "says no patch_size"),
        ({"image_size": "8", "patch_size": 4}, r"size \(224, 224\), its config.json says 8"),
        ({"image_size": 10**9, "patch_size": 4}, r"size \(224, 224\), its config.json says 1000000000"),
    ],
)
def test_sizes_that_are_none_are_refused(config: dict[str, Any], message: str) -> None:
    net = Net()
    net.config = SimpleNamespace(**config)
    with pytest.raises(UsageError, match=message):
        found(net, 0)
