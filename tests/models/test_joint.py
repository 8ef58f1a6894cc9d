"""Joint models: two towers, each a model of its own, with the numbers of the library."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conceptprobe.errors import CorruptError, MissingError, UnsafeModelError, UsageError
from conceptprobe.models import POOLINGS, JointSpec, ModelSpec, resolve, towers
from conceptprobe.models.image import ImageModel
from conceptprobe.models.joint import JOINT_FAMILIES
from conceptprobe.models.text import TextModel
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_images import pictures, save_image_model, save_joint_model, shown
from models.tiny_models import collect, largest_error, one_by_one, save_tokenizer, stimuli

TOLERANCE = 1e-5
TEXT_NETS = {
    "CLIPTextModel": "clip_text_model",
    "CLIPTextModelWithProjection": "clip_text_model",
    "SiglipTextModel": "siglip_text_model",
    "Siglip2TextModel": "siglip2_text_model",
}


@pytest.fixture(params=sorted(name for name, row in JOINT_FAMILIES.items() if row.towers[1].modality == "image"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def net(kind: str, tmp_path: Path) -> Any:
    return save_joint_model(tmp_path / kind, kind)


@pytest.fixture
def spec(kind: str, net: Any, tmp_path: Path) -> JointSpec:
    found = resolve(str(tmp_path / kind))
    assert isinstance(found, JointSpec)
    return found


def short(n: int = 9) -> list[Stimulus]:
    """Texts that fit into 24 tokens."""
    texts = (
        "a b c d",
        "Her soul was quiet.",
        "the river",
        "soul",
        "hammer and soul",
        "i j k l m",
        "a",
        "b soul",
        "m l",
    )
    made = []
    for i in range(n):
        text = f"{texts[i % len(texts)]} soul"
        made.append(Stimulus(f"t{i}", "c", "s", "positive", "text", text, span=(len(text) - 4, len(text))))
    return made


def tokens(model: TextModel, items: list[Stimulus], kind: str) -> Any:
    """Ids as the library's own processor makes them: SigLIP pads every text to its full length."""
    padding = {"padding": "max_length", "max_length": 24} if kind.startswith("siglip") else {"padding": True}
    batch = model.tokenizer([s.content for s in items], return_tensors="pt", **padding)
    wanted = ["input_ids"] if kind.startswith("siglip") else ["input_ids", "attention_mask"]
    return {name: batch[name] for name in wanted}


def test_a_joint_model_has_two_towers(kind: str, net: Any, spec: JointSpec) -> None:
    assert isinstance(spec, ModelSpec)
    assert spec.info.modalities == ("text", "image")
    assert spec.info.n_params == sum(p.numel() for p in net.parameters())
    text, image = towers(spec)
    assert (text.info.modalities, image.info.modalities) == (("text",), ("image",))
    assert text.info.name == image.info.name == spec.info.name
    assert len({spec.info.sha256, text.info.sha256, image.info.sha256}) == 3
    assert text.info.related_to(image.info)
    assert text.info.related_to(spec.info)
    for tower in (text, image):
        assert (tower.info.n_layers, tower.info.d_model) == (3, 32)
        assert tower.sites == ("embed", "resid_post.0", "resid_post.1", "resid_post.2", "final", "pooled")
    scale = {"clip": 1, "siglip": 2, "siglip2": 2}[kind]  # logit scale and bias belong to neither
    assert text.info.n_params + image.info.n_params + scale == spec.info.n_params
    assert (text.poolings, image.poolings) == (POOLINGS, ("mean", "cls") if kind == "clip" else ("mean",))


def test_a_tower_loads_nothing_of_the_other(spec: JointSpec) -> None:
    for tower in towers(spec):
        model: Any = tower.load()
        head = getattr(model, "_projection", None) or getattr(model, "_head", None)
        loaded = sum(p.numel() for p in model.net.parameters())
        loaded += sum(p.numel() for p in head.parameters()) if head is not None else 0
        assert loaded == tower.info.n_params


def test_pooled_rows_are_the_features_of_the_library(kind: str, net: Any, spec: JointSpec, tmp_path: Path) -> None:
    text, image = (tower.load() for tower in towers(spec))
    assert isinstance(text, TextModel)
    assert isinstance(image, ImageModel)
    words, seen = short(), pictures(tmp_path)
    with torch.no_grad():
        texts = net.get_text_features(**tokens(text, words, kind)).pooler_output.numpy()
        each = [net.get_image_features(**inputs).pooler_output for inputs in shown(tmp_path / kind, seen)]
        pictured = torch.cat(each).numpy()
    for model, items, theirs in ((text, words, texts), (image, seen, pictured)):
        ours = collect(model, items, ["pooled"], ["mean"])["pooled", "mean"]
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()


def test_every_site_of_a_text_tower_is_that_of_the_library(kind: str, net: Any, spec: JointSpec) -> None:
    model = towers(spec)[0].load()
    assert isinstance(model, TextModel)
    items = short()
    rows = collect(model, items, spec.towers[0].sites, ["cls", "mean"])
    seen: dict[str, torch.Tensor] = {}
    layers = net.text_model.encoder.layers
    layers[0].register_forward_pre_hook(lambda module, inputs: seen.update(embed=inputs[0]))
    for i, layer in enumerate(layers):
        layer.register_forward_hook(lambda module, inputs, output, i=i: seen.update({f"resid_post.{i}": output}))
    batch = tokens(model, items, kind)
    with torch.no_grad():
        seen["final"] = net.get_text_features(**batch).last_hidden_state
    ids = batch["input_ids"]
    content = torch.ones_like(ids, dtype=torch.bool)
    for special in (1, 2, 3):
        content &= ids != special
    for site, hidden in seen.items():
        mean = torch.stack([h[c].mean(0) for h, c in zip(hidden, content, strict=True)]).detach().numpy()
        assert np.abs(rows[site, "cls"] - hidden[:, 0].detach().numpy()).max() < TOLERANCE * float(hidden.abs().max())
        assert np.abs(rows[site, "mean"] - mean).max() < TOLERANCE * float(hidden.abs().max()), site


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_of_texts_changes_no_number(side: str, spec: JointSpec) -> None:
    model = towers(spec)[0].load()
    assert isinstance(model, TextModel)
    items = short()
    sites, poolings = ("tokens", *model.sites), ("concept_span", "context", "last", "mean", "cls")
    alone = one_by_one(model, items, sites, poolings)
    model.padding_side = side
    for model.batch_tokens in (10_000, 60, 1):
        assert largest_error(collect(model, items, sites, poolings), alone) < TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_first_clips_end_a_text_at_its_highest_id(side: str, tmp_path: Path) -> None:
    """Their config.json says end-of-text 2, whatever the tokenizer writes."""
    from models.tiny_images import JOINT

    text = {**JOINT["clip"]["text_config"], "eos_token_id": 2}
    net = save_joint_model(tmp_path, "clip", text_config=text)
    model = towers(resolve(str(tmp_path)))[0].load()
    assert isinstance(model, TextModel)
    model.padding_side = side
    items = short()
    with torch.no_grad():
        theirs = net.get_text_features(**tokens(model, items, "clip")).pooler_output.numpy()
    ours = collect(model, items, ["pooled"], ["mean"])["pooled", "mean"]
    assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()


@pytest.mark.parametrize("said", [2, 9])
def test_padding_with_the_end_of_text_is_not_taken_for_it(said: int) -> None:
    """CLIP pads with the very token that ends a text, the highest of all."""
    from types import SimpleNamespace

    from conceptprobe.models.text import _end_of_text

    ids = torch.tensor([[9, 9, 3, 5, 9], [3, 4, 5, 9, 9], [3, 9, 9, 9, 9]])
    real = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]).bool()
    assert _end_of_text(ids, real, SimpleNamespace(eos_token_id=said)).tolist() == [4, 3, 1]


def test_a_tokenizer_that_ends_no_text_is_said(tmp_path: Path) -> None:
    save_joint_model(tmp_path, "clip")
    save_tokenizer(tmp_path, "bos")
    model = towers(resolve(str(tmp_path)))[0].load()
    with pytest.raises(UsageError, match="writes no end-of-text token"):
        collect(model, short(3), ["pooled"], ["mean"])
    assert collect(model, short(3), ["final"], ["mean"])


def test_siglip_refuses_a_text_that_is_longer_than_what_it_pads_to(tmp_path: Path) -> None:
    save_joint_model(tmp_path, "siglip")
    model = towers(resolve(str(tmp_path)))[0].load()
    with pytest.raises(UsageError, match="takes 24"):
        collect(model, stimuli(13), ["final"], ["mean"])


@pytest.mark.parametrize("net_name", sorted(TEXT_NETS))
def test_a_text_tower_saved_alone_is_a_text_model(net_name: str, tmp_path: Path) -> None:
    from models.tiny_images import JOINT, VISION

    model_type = TEXT_NETS[net_name]
    config = JOINT[model_type.partition("_")[0]]["text_config"]
    assert model_type not in VISION
    net = save_image_model(tmp_path, model_type, kind=net_name, **{**config, "projection_dim": 24})
    (tmp_path / "preprocessor_config.json").unlink()
    save_tokenizer(tmp_path, "encoder")
    spec = resolve(str(tmp_path))
    assert towers(spec) == (spec,)
    assert (spec.info.modalities, spec.info.family) == (("text",), model_type)
    assert spec.info.n_params == sum(p.numel() for p in net.parameters())
    model = spec.load()
    assert isinstance(model, TextModel)
    ours = collect(model, short(), ["pooled"], ["mean"])["pooled", "mean"]
    with torch.no_grad():
        out = net(**tokens(model, short(), model_type))
    theirs = (out.text_embeds if "Projection" in net_name else out.pooler_output).numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()


def test_the_twin_of_a_joint_model_is_the_twins_of_its_towers(
    kind: str, net: Any, spec: JointSpec, tmp_path: Path
) -> None:
    name = str(tmp_path / kind)
    twin = resolve(f"random:{name}#4")
    assert isinstance(twin, JointSpec)
    assert (twin.info.kind, twin.info.name, twin.info.modalities) == ("twin", f"random:{name}#4", ("text", "image"))
    assert twin.info == spec.twin(4).info != spec.twin(5).info
    assert not twin.info.related_to(spec.info)
    with pytest.raises(UsageError, match="random twin already"):
        twin.twin(1)
    items = (short(4), pictures(tmp_path, 4))
    for i, tower in enumerate(towers(twin)):
        assert (tower.info.kind, tower.info.name) == ("twin", twin.info.name)
        assert tower.info == towers(spec)[i].twin(4).info
        one, again = (collect(tower.load(), items[i], tower.sites, ["mean"]) for _ in range(2))
        trained = collect(towers(spec)[i].load(), items[i], tower.sites, ["mean"])
        for cell in one:
            assert np.array_equal(one[cell], again[cell])
            assert not np.allclose(one[cell], trained[cell], atol=1e-3), cell


def test_what_a_joint_model_does_not_do_is_said(spec: JointSpec) -> None:
    with pytest.raises(UsageError, match=r"has 2 towers \(text, image\)") as error:
        spec.load()
    assert "towers(spec)" in error.value.hint
    text = towers(spec)[0].load()
    other = dataclasses.replace(short(1)[0], modality="image")
    with pytest.raises(UsageError, match="reads text, and stimulus 't0' is image"):
        collect(text, [other], ["embed"], ["mean"])


@pytest.mark.parametrize(
    ("gone", "error", "message"),
    [
        ("config.json", MissingError, "has no config.json"),
        ("model.safetensors", MissingError, "has no weights"),
        ("tokenizer.json", MissingError, "has no tokenizer"),
        ("preprocessor_config.json", MissingError, "has no preprocessor_config.json"),
    ],
)
def test_each_absent_part_has_its_message(gone: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    save_joint_model(tmp_path, "clip")
    (tmp_path / gone).unlink()
    with pytest.raises(error, match=message):
        resolve(str(tmp_path))


def test_a_joint_model_of_pickles_is_refused(tmp_path: Path) -> None:
    save_joint_model(tmp_path, "clip")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsafeModelError, match="only pickled weights"):
        resolve(str(tmp_path))


def test_a_configuration_without_a_tower_is_said(tmp_path: Path) -> None:
    save_joint_model(tmp_path, "clip")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["vision_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CorruptError, match="has no vision_config"):
        resolve(str(tmp_path))


def test_a_configuration_that_leaves_out_what_is_usual_is_read(tmp_path: Path) -> None:
    """As the first SigLIPs are published: the size of a tower is seen in its tensors alone."""
    save_joint_model(tmp_path, "siglip")
    before = [tower.info.n_layers for tower in towers(resolve(str(tmp_path)))]
    config = json.loads((tmp_path / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        for entry in ("num_hidden_layers", "hidden_size"):
            del config[part][entry]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert [tower.info.n_layers for tower in towers(resolve(str(tmp_path)))] == before


def test_a_processor_written_by_a_joint_processor_is_found(tmp_path: Path) -> None:
    """Newer folders nest it in processor_config.json."""
    save_joint_model(tmp_path, "clip")
    own = tmp_path / "preprocessor_config.json"
    before = resolve(str(tmp_path))
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(own.read_text())}))
    own.unlink()
    after = resolve(str(tmp_path))
    assert after.info.sha256 == before.info.sha256
    items = pictures(tmp_path, 2)
    rows = [collect(towers(s)[1].load(), items, ["embed"], ["mean"]) for s in (before, after)]
    assert largest_error(*rows) == 0
