"""`lens:NAME` against our own reader: two ways through two libraries to the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from conceptprobe.activations import extract
from conceptprobe.errors import UsageError
from conceptprobe.models import POOLINGS, resolve
from conceptprobe.models.lens import LensModel, LensSpec
from conceptprobe.models.options import Options
from conceptprobe.models.sites import hooks_of, site_of
from conceptprobe.stimuli.stimulus import StimulusSet
from models.tiny_images import save_image_model
from models.tiny_models import collect, largest_error, save_model, stimuli

MULTI_HEAD = {"num_key_value_heads": 4}


@pytest.mark.parametrize(
    ("model_type", "tokenizer", "config"),
    [
        ("gpt2", "bytes", MULTI_HEAD),
        ("llama", "bos", {}),
        ("bert", "encoder", MULTI_HEAD),
        ("gemma2", "bos", {}),
        ("bart", "encoder", {"decoder_layers": 3}),
    ],
)
def test_transformer_lens_gives_the_same_rows_at_every_site(
    model_type: str, tokenizer: str, config: dict[str, int], tmp_path: Path
) -> None:
    folder = save_model(tmp_path / model_type, model_type, tokenizer=tokenizer, **config)
    own, lens = resolve(str(folder)), cast("LensSpec", resolve(f"lens:{folder}"))
    assert lens.info.sha256 != own.info.sha256
    sites = (*lens.sites, *lens.extra_sites)
    assert {"attn_out.0", "mlp_out.2"} <= set(sites)
    model, items = lens.load(), stimuli(5)
    assert largest_error(collect(model, items, sites, POOLINGS), collect(own.load(), items, sites, POOLINGS)) < 1e-5
    assert model.bridge.compatibility_mode is False


def test_its_twin_is_the_twin_of_the_model_itself(folders: dict[str, Path]) -> None:
    name = str(folders["gpt2"])
    assert resolve(f"random:lens:{name}#4").info.sha256 == resolve(f"random:{name}#4").info.sha256


def test_options_reach_it(folders: dict[str, Path]) -> None:
    name = f"lens:{folders['llama']}"
    spec = resolve(name, options=Options(dtype="float64", device="cpu"))
    model = cast("LensModel", spec.load())
    assert {p.dtype.itemsize for p in model.bridge.parameters()} == {8}
    assert spec.info.sha256 != resolve(name).info.sha256


def test_what_it_does_not_read_is_refused(tmp_path: Path) -> None:
    save_image_model(tmp_path / "vit", "vit")
    for name in (f"lens:{tmp_path / 'vit'}", "lens:words:cooccurrence", "lens:pocket-joint"):
        with pytest.raises(UsageError, match="only a text model in a folder of its own"):
            resolve(name)


def test_hook_points_are_accepted_wherever_a_site_is(folders: dict[str, Path]) -> None:
    spec = resolve(str(folders["gpt2"]))
    items = StimulusSet("some", tuple(stimuli(4)))
    asked = ("blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.2.hook_attn_out", "ln_final.hook_out")
    (found,) = extract(spec, items, asked, ("mean",)).values()
    assert found.sites == ("embed", "resid_post.1", "attn_out.2", "final")
    assert (found["blocks.2.hook_resid_pre"] == found["resid_post.1"]).all()
    assert "blocks.1.hook_resid_post" in found
    with pytest.raises(UsageError, match=r"no site 'blocks\.1\.hook_nothing'"):
        extract(spec, items, ("blocks.1.hook_nothing",), ("mean",))


def test_names_are_mapped_both_ways() -> None:
    for site in ("embed", "resid_post.7", "attn_out.0", "mlp_out.12", "final"):
        assert site in [site_of(hook) for hook in hooks_of(site)]
    assert hooks_of("pooled") == ()
