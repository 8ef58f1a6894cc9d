"""CLAP: a text tower and an audio tower, each a model of its own, with the numbers of the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conceptprobe.errors import CorruptError, MissingError, UsageError
from conceptprobe.models import POOLINGS, JointSpec, resolve, towers
from conceptprobe.models.text import TextModel
from conceptprobe.stimuli.stimulus import Stimulus
from models.test_audio import by_hand, counted, played
from models.tiny_models import collect, largest_error, one_by_one, save_tokenizer, stimuli
from models.tiny_sounds import save_clap, save_extractor, sounds

TOLERANCE = 1e-5
FUSION = {"unfused": {}, "fused": {"enable_fusion": True, "fusion_type": "aff_2d"}}

Clap = tuple[Path, Any, JointSpec]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clap]:
    made: dict[str, Clap] = {}

    def clap(kind: str) -> Clap:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            net = save_clap(folder, **FUSION[kind])
            spec = resolve(str(folder))
            assert isinstance(spec, JointSpec)
            made[kind] = folder, net, spec
        return made[kind]

    return clap


@pytest.fixture(params=sorted(FUSION))
def clap(request: pytest.FixtureRequest, saved: Callable[[str], Clap]) -> Clap:
    return saved(str(request.param))


def texts() -> list[Stimulus]:
    """That fit into 28 tokens."""
    return [item for item in stimuli(12) if len(item.content) < 50]


def tokens(model: TextModel, items: list[Stimulus]) -> Any:
    return model.tokenizer([s.content for s in items], return_tensors="pt", padding=True)


def test_a_clap_has_two_towers(clap: Clap) -> None:
    _, net, spec = clap
    text, audio = towers(spec)
    assert spec.info.modalities == ("text", "audio")
    assert (text.info.modalities, audio.info.modalities) == (("text",), ("audio",))
    assert spec.info.n_params == sum(p.numel() for p in net.parameters())
    assert text.info.n_params + audio.info.n_params + 2 == spec.info.n_params  # two logit scales belong to neither
    assert (text.info.n_layers, text.info.d_model, audio.info.n_layers, audio.info.d_model) == (3, 32, 4, 32)
    assert len({spec.info.sha256, text.info.sha256, audio.info.sha256}) == 3
    assert text.info.related_to(audio.info)
    assert (text.poolings, audio.poolings) == (POOLINGS, ("mean",))
    for tower in (text, audio):
        loaded: Any = tower.load()
        parts = (loaded.net, loaded._projection)
        assert sum(p.numel() for part in parts for p in part.parameters()) == tower.info.n_params
        assert tower.sites[-2:] == ("final", "pooled")


def test_pooled_rows_point_where_the_features_of_the_library_do(clap: Clap, tmp_path: Path) -> None:
    """The library scales them to unit length; a row keeps its length, as in the other joint models."""
    folder, net, spec = clap
    text, audio = (tower.load() for tower in towers(spec))
    assert isinstance(text, TextModel)
    heard, read = sounds(tmp_path, 5), texts()
    with torch.no_grad():
        said = net.get_text_features(**tokens(text, read)).pooler_output.numpy()
        played_ = [net.get_audio_features(**played(folder, item)[0]).pooler_output.numpy() for item in heard]
    for model, items, theirs in ((text, read, said), (audio, heard, np.concatenate(played_))):
        ours = collect(model, items, ["pooled"], ["mean"])["pooled", "mean"]
        ours /= np.linalg.norm(ours, axis=1, keepdims=True)
        assert np.abs(ours - theirs).max() < TOLERANCE
        assert np.abs(theirs - theirs.mean(0)).max() > 0.01


def test_every_site_of_the_audio_tower_is_that_of_the_library(clap: Clap, tmp_path: Path) -> None:
    folder, net, spec = clap
    audio: Any = towers(spec)[1]
    heard = sounds(tmp_path, 5)
    sites = [site for site in (*audio.sites, *audio.extra_sites) if site != "pooled"]
    rows = collect(audio.load(), heard, sites, ["mean"])
    for i, item in enumerate(heard):
        inputs, samples = played(folder, item)
        for site, hidden in by_hand(net, "clap_audio_model", inputs)[0].items():
            states, held = counted("clap_audio_model", net, samples, hidden)
            mean = states[held].mean(0).numpy()
            assert np.abs(rows[site, "mean"][i] - mean).max() < TOLERANCE * np.abs(rows[site, "mean"]).max(), site


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_site_of_the_text_tower_is_that_of_the_library(side: str, saved: Callable[[str], Clap]) -> None:
    _, net, spec = saved("unfused")
    text: Any = towers(spec)[0]
    model = text.load()
    items = texts()
    sites = ("tokens", *model.sites, *text.extra_sites[1:])
    alone = one_by_one(model, items, sites, POOLINGS)
    model.padding_side = side
    for model.batch_tokens in (10_000, 60):
        assert largest_error(collect(model, items, sites, POOLINGS), alone) < TOLERANCE
    seen: dict[str, torch.Tensor] = {}
    layers = net.text_model.encoder.layer
    handles = [layers[0].register_forward_pre_hook(lambda _, args: seen.update(embed=args[0]))]
    for i, layer in enumerate(layers):
        branches = {"resid_post": layer, "attn_out": layer.attention.output.dense, "mlp_out": layer.output.dense}
        for site, module in branches.items():
            name = f"{site}.{i}"
            handles.append(module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out})))
    for k, item in enumerate(items):
        with torch.no_grad():
            seen["final"] = net.text_model(**tokens(model, [item])).last_hidden_state
        for site, hidden in seen.items():  # <s> and </s> stand around a text
            mean = hidden[0, 1:-1].mean(0).detach().numpy()
            assert np.abs(alone[site, "mean"][k] - mean).max() < TOLERANCE * float(hidden.abs().max()), site
    for handle in handles:
        handle.remove()


def test_the_twin_of_a_clap_is_the_twins_of_its_towers(saved: Callable[[str], Clap], tmp_path: Path) -> None:
    folder, _, spec = saved("fused")
    twin = resolve(f"random:{folder}#4")
    assert isinstance(twin, JointSpec)
    assert twin.info == spec.twin(4).info != spec.twin(5).info
    assert twin.info.modalities == ("text", "audio")
    for tower, trained, items in zip(towers(twin), towers(spec), (texts()[:3], sounds(tmp_path, 3)), strict=True):
        rows = collect(tower.load(), items, tower.sites, ["mean"])
        for cell, values in collect(trained.load(), items, tower.sites, ["mean"]).items():
            assert np.isfinite(rows[cell]).all()
            assert not np.allclose(rows[cell], values, atol=1e-3), cell


def test_towers_saved_alone_are_models_of_their_own(saved: Callable[[str], Clap], tmp_path: Path) -> None:
    _, net, spec = saved("unfused")
    heard, read = sounds(tmp_path, 2), texts()[:3]
    for part, items, tower in ((net.text_model, read, spec.towers[0]), (net.audio_model, heard, spec.towers[1])):
        folder = tmp_path / part.config.model_type
        part.save_pretrained(folder)
        save_extractor(folder, "ClapFeatureExtractor")
        save_tokenizer(folder, "encoder")
        alone = resolve(str(folder))
        assert towers(alone) == (alone,)
        rows = [collect(one.load(), items, ["embed", "final"], ["mean"]) for one in (alone, tower)]
        assert largest_error(*rows) == 0
        with torch.no_grad():
            pooled = collect(alone.load(), items, ["pooled"], ["mean"])["pooled", "mean"]
        assert pooled.shape == (len(items), 32)  # before the projection, which is not in the folder


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("tokenizer.json", "has no tokenizer"),
        ("preprocessor_config.json", "at what rate"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_each_absent_part_has_its_message(gone: str, message: str, tmp_path: Path) -> None:
    save_clap(tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(MissingError, match=message):
        resolve(str(tmp_path))


def test_what_a_clap_does_not_do_is_said(saved: Callable[[str], Clap], tmp_path: Path) -> None:
    _, _, spec = saved("unfused")
    with pytest.raises(UsageError, match=r"has 2 towers \(text, audio\)"):
        spec.load()
    with pytest.raises(UsageError, match="reads text, and stimulus 's0-0' is audio"):
        collect(towers(spec)[0].load(), sounds(tmp_path, 1), ["embed"], ["mean"])


def test_a_configuration_without_the_audio_tower_is_said(saved: Callable[[str], Clap], tmp_path: Path) -> None:
    import json

    folder = saved("unfused")[0]
    config = json.loads((folder / "config.json").read_text())
    del config["audio_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CorruptError, match="has no audio_config"):
        resolve(str(tmp_path))
