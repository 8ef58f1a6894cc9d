"""The table of text families: every row, on a tiny checkpoint of its own, against a plain forward pass of transformers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from conceptprobe.errors import UsageError
from conceptprobe.models import POOLINGS, resolve, towers
from conceptprobe.models.families.base import Family, at_path, blocks_of
from conceptprobe.models.families.text import FAMILIES
from conceptprobe.models.text import TextModel
from conceptprobe.models.tokens import Padded
from models.plain import Plain
from models.tiny_images import save_joint_model
from models.tiny_models import TEXT, VARIANTS, collect, largest_error, save_model, save_named, stimuli

Loaded = Callable[[str], TextModel]
TOLERANCE = 1e-5
NAMES = [*TEXT, *VARIANTS]
SIDES = ("left", "right")


@pytest.fixture(scope="session")
def loaded(tiny_text: Callable[[str], Path]) -> Loaded:
    """A tiny model by its name; one for all tests of the session."""
    models: dict[str, TextModel] = {}

    def load(name: str) -> TextModel:
        if name not in models:
            models[name] = cast("TextModel", resolve(str(tiny_text(name))).load())
        models[name].padding_side = "right"
        return models[name]

    return load


def family_of(name: str) -> str:
    return VARIANTS.get(name, (name, {}))[0]


def all_sites(model: TextModel) -> list[str]:
    return ["tokens", *model.sites, *model.reader.branches]


# A row with a prefix is a tower of a joint model: its own tests are in test_joint.py.
def test_every_row_has_a_checkpoint() -> None:
    assert set(TEXT) == {m for m, row in FAMILIES.items() if not row.prefix}
    assert all(row.example for row in FAMILIES.values() if not row.prefix)


KERNEL = dict.fromkeys(("falcon with alibi", "falcon, one after the other"), "sdpa")
"""transformers' eager Falcon adds ALiBi twice, in its mask and to the scores; see the test of `attn_out.0` by hand."""


@pytest.mark.parametrize("name", NAMES)
def test_every_site_is_that_of_a_plain_forward_pass(
    name: str, loaded: Loaded, tiny_text: Callable[[str], Path]
) -> None:
    """Batched, fused where the family takes it, padded on either side: the same numbers under every pooling."""
    model = loaded(name)
    row = FAMILIES[family_of(name)]
    assert bool(model.net._supports_sdpa) == row.sdpa
    assert model.net.config._attn_implementation == ("sdpa" if row.sdpa else "eager")
    assert (model.sites[-1] == "pooled") == bool(row.reads_at)
    branches = [kind for kind, path in (("attn_out", row.attn), ("mlp_out", row.mlp)) if path]
    assert list(model.reader.branches) == [f"{kind}.{i}" for kind in branches for i in range(3)]

    items, sites = stimuli(9), all_sites(model)
    plain = Plain(tiny_text(name), row, attention=KERNEL.get(name, "eager")).rows(items, sites, POOLINGS)
    for model.padding_side in SIDES:
        assert largest_error(collect(model, items, sites, POOLINGS), plain) < TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_of_the_library_agree(name: str, loaded: Loaded) -> None:
    """All but the last, which is normed where a family has a final norm, or projected."""
    model = loaded(name)
    item = stimuli(9)[7]
    rows = collect(model, [item], model.sites, ("cls",))
    out = model.net(torch.tensor([model.tokenizer(item.content)["input_ids"]]), output_hidden_states=True)
    streams = [*(["embed"] if name not in NO_BRANCHES else []), *(f"resid_post.{i}" for i in range(3))][:3]
    assert len(out.hidden_states) == 4
    for site, theirs in zip(streams, out.hidden_states[:3], strict=True):
        assert np.allclose(rows[site, "cls"][0], theirs[0, 0].numpy(), rtol=TOLERANCE, atol=TOLERANCE), site
    if name in NO_BRANCHES:  # what enters the first block is not in the list: it ends with the normed state
        assert np.allclose(rows["final", "cls"][0], out.hidden_states[3][0, 0].numpy(), rtol=TOLERANCE, atol=TOLERANCE)
        return
    last = rows["resid_post.2", "cls"][0], out.hidden_states[3][0, 0].numpy()
    same = last[0].shape == last[1].shape and np.allclose(*last, rtol=TOLERANCE, atol=TOLERANCE)
    assert same == (not FAMILIES[family_of(name)].norm)


POST_NORM: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "electra", "deberta", "deberta-v2"),
        ("attention.output.LayerNorm", "output.LayerNorm"),
    ),
    "mpnet": ("attention.LayerNorm", "output.LayerNorm"),
    "distilbert": ("sa_layer_norm", "output_layer_norm"),
    **dict.fromkeys(("nomic_bert", "gte"), ("post_attention_layernorm", "post_mlp_layernorm")),
    **dict.fromkeys(("bart", "opt-350m"), ("self_attn_layer_norm", "final_layer_norm")),
    "deberta-v2 with positions": ("attention.output.LayerNorm", "output.LayerNorm"),
}
"""Norms behind the two sums of a block; in every checkpoint that is not here, nor among the others, branches just add up."""
NO_BRANCHES = ("mamba", "mamba2", "falcon_mamba")
STREAM_AFTER_NORM = "bloom, stream after the norm"
CONVOLVED = "deberta-v2 with a convolution"


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*NO_BRANCHES, CONVOLVED)])
def test_branches_add_up_to_what_leaves_the_block(name: str, loaded: Loaded) -> None:
    model = loaded(name)
    rows = collect(model, stimuli(9), all_sites(model), ("last",))
    entering = torch.from_numpy(rows["embed", "last"])
    for i, block in enumerate(model.blocks):
        attn, mlp, leaving = (
            torch.from_numpy(rows[f"{kind}.{i}", "last"]) for kind in ("attn_out", "mlp_out", "resid_post")
        )
        if name in POST_NORM:
            first, second = (at_path(block, path) for path in POST_NORM[name])
            made = second(first(entering + attn) + mlp)
        elif name == STREAM_AFTER_NORM:
            made = block.post_attention_layernorm(block.input_layernorm(entering) + attn) + mlp
        else:
            made = entering + attn + mlp
        assert float((made - leaving).abs().max() / leaving.abs().max()) < TOLERANCE, i
        for part in (attn, mlp):  # a branch that is nothing would prove nothing
            assert float(part.abs().max() / leaving.abs().max()) > 1e-3
        entering = leaving


@pytest.mark.parametrize("name", ["falcon with alibi", "bloom"])
def test_alibi_by_hand(name: str, loaded: Loaded) -> None:
    """Attention of the first block at the last token, written out: (q.k + slope * place of the key) / sqrt(width)."""
    model = loaded(name)
    block, item = model.blocks[0], stimuli(9)[5]
    ids = torch.tensor([model.tokenizer(item.content)["input_ids"]])
    seen: list[torch.Tensor] = []
    handle = block.register_forward_pre_hook(lambda _, args, kwargs: seen.append(args[0]), with_kwargs=True)
    model.net(ids)
    handle.remove()
    entering = block.input_layernorm(seen[0][0])
    fused = block.self_attention.query_key_value(entering)
    t, heads, width = len(entering), 4, 8
    if name == "bloom":
        q, k, v = fused.view(t, heads, 3, width).unbind(2)
    else:  # one key and one value for all heads
        q, k, v = fused.view(t, heads + 2, width).split((heads, 1, 1), 1)
    slopes = torch.tensor([2.0 ** (-8 * (h + 1) / heads) for h in range(heads)])
    scores = torch.einsum("hd,thd->ht", q[-1], k.expand(t, heads, width))
    bias = slopes[:, None] * torch.arange(t)
    # BLOOM adds it to the scaled scores, Falcon scales both.
    scores = scores / width**0.5 + bias if name == "bloom" else (scores + bias) / width**0.5
    made = torch.einsum("ht,thd->hd", scores.softmax(-1), v.expand(t, heads, width))
    by_hand = block.self_attention.dense(made.flatten()).numpy()
    ours = collect(model, [item], ["attn_out.0"], ("last",))["attn_out.0", "last"][0]
    tokens = model.tokenizer(item.content)["input_ids"]
    assert tokens[-1] not in model.tokenizer.all_special_ids
    assert np.abs(ours - by_hand).max() / np.abs(by_hand).max() < TOLERANCE


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_branches_of_a_text_tower_add_up(kind: str, tmp_path: Path) -> None:
    save_joint_model(tmp_path / kind, kind)
    model = towers(resolve(str(tmp_path / kind)))[0].load()
    assert isinstance(model, TextModel)
    rows = collect(model, stimuli(3), all_sites(model), ("last", "mean"))
    for pooling in ("last", "mean"):
        entering = rows["embed", pooling]
        for i in range(3):
            leaving = rows[f"resid_post.{i}", pooling]
            made = entering + rows[f"attn_out.{i}", pooling] + rows[f"mlp_out.{i}", pooling]
            assert np.abs(made - leaving).max() < TOLERANCE * np.abs(leaving).max()
            entering = leaving


@pytest.mark.parametrize("name", ["t5", "bart", "mamba", "gpt_oss", "falcon", "modernbert"])
def test_a_twin_has_the_sites_of_its_model_and_numbers_of_its_own(
    name: str, loaded: Loaded, tiny_text: Callable[[str], Path]
) -> None:
    model, twin = loaded(name), resolve(str(tiny_text(name))).twin(1).load()
    assert twin.sites == model.sites
    items = stimuli(4)
    drawn, trained = (collect(m, items, ["resid_post.2"], ("mean",))["resid_post.2", "mean"] for m in (twin, model))
    assert drawn.shape == trained.shape
    assert np.abs(drawn - trained).max() > 1e-2


POSITIONS: dict[str, str] = {
    **dict.fromkeys(("bert", "electra", "distilbert", "deberta", "gpt2", "gpt_neo"), "absolute"),
    "deberta-v2 with positions": "absolute",
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet", "opt", "opt-350m"), "counts itself"),
    **dict.fromkeys(("bloom", "bloom, stream after the norm", "mpt", "t5", "t5, gated", "mt5", "umt5"), "takes none"),
    **dict.fromkeys(("bart", "mbart", *NO_BRANCHES), "takes none"),
}
"""How a family comes to its positions. All others turn queries and keys by angles (rotary), or look at distances
(DeBERTa-v2, ALiBi): `relative`."""


def positions_changed(model: TextModel, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Any:
    """A handle: until it is removed, the network gets other position ids, or none."""

    def hook(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, "position_ids": change(kwargs["position_ids"])}

    return model.net.register_forward_pre_hook(hook, with_kwargs=True)


@pytest.mark.parametrize("name", NAMES)
def test_position_ids_are_what_padding_on_the_left_needs(name: str, loaded: Loaded) -> None:
    """What happens without them is measured, and decides the class of the family.

    absolute: rows are wrong. counts itself: rows are right, since the network counts tokens that are no padding, and yet
    a shift of all ids by 3 is seen. relative: neither matters, because padding on the left shifts all ids alike; ids
    in reverse order are seen. takes none: there are no ids to leave out.
    """
    model = loaded(name)
    items = stimuli(6)
    sites = [f"resid_post.{i}" for i in range(3)]
    right = collect(model, items, sites, ("mean", "last"))
    model.padding_side = "left"

    def error(change: Callable[[torch.Tensor], torch.Tensor | None]) -> float:
        handle = positions_changed(model, change)
        try:
            return largest_error(collect(model, items, sites, ("mean", "last")), right)
        finally:
            handle.remove()

    if not model.row.positions:
        assert POSITIONS[name] == "takes none"
        return
    left_out, shifted = error(lambda ids: None), error(lambda ids: ids + 3)
    kind = "absolute" if left_out > 1e-3 else "counts itself" if shifted > 1e-3 else "relative"
    assert kind == POSITIONS.get(name, "relative")
    assert left_out > 1e-3 if kind == "absolute" else left_out < TOLERANCE
    assert shifted < TOLERANCE if kind == "relative" else shifted > 1e-3
    if name not in BLIND:
        assert error(lambda ids: ids.flip(1)) > 1e-3


BLIND = ("deberta-v2", "deberta-v2 with a convolution", "falcon with alibi", "falcon, one after the other")
"""Take position_ids and do not look at them: distances come from places in the batch, or from the attention mask."""


@pytest.mark.parametrize("name", NAMES)
def test_the_last_token_sees_the_first_and_the_first_the_last_unless_causal(name: str, loaded: Loaded) -> None:
    """Weights are large enough that a wrong mask would be seen, and the column `causal` is what the network does."""
    model = loaded(name)
    texts = ("a b soul", "m b soul", "a b river")
    items = [dataclasses.replace(s, content=text) for s, text in zip(stimuli(3), texts, strict=True)]
    cells = [("resid_post.2", "last"), ("resid_post.2", "cls")]
    rows = collect(model, items, ["resid_post.2"], ("last", "cls"))
    last, first = (rows[cell] / np.abs(rows[cell]).max() for cell in cells)
    assert np.abs(last[0] - last[1]).max() > 1e-2
    assert (np.abs(first[0] - first[2]).max() < TOLERANCE) == model.row.causal


@pytest.mark.parametrize("name", [n for n in NAMES if not FAMILIES[family_of(n)].pads])
def test_recurrent_families_need_no_mask_in_batches_of_one_length(name: str, loaded: Loaded) -> None:
    """Their state reads whatever comes before a token: without a mask, padding on the left is wrong."""
    model = loaded(name)
    items, sites, poolings = stimuli(16), all_sites(model), ("mean", "last")
    plain = collect(model, items, sites, poolings)
    row, model.padding_side = model.row, "left"
    handle = model.net.register_forward_pre_hook(_without_a_mask, with_kwargs=True)
    try:
        assert largest_error(collect(model, items, sites, poolings), plain) < TOLERANCE
        model.row = dataclasses.replace(row, pads=True)
        assert largest_error(collect(model, items, sites, poolings), plain) > 1e-3
    finally:
        handle.remove()
        model.row = row


def _without_a_mask(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    return args, {**kwargs, "attention_mask": None}


@pytest.mark.parametrize("name", [n for n in NAMES if not FAMILIES[family_of(n)].pads_left])
def test_families_that_count_from_the_left_edge_are_wrong_with_padding_there(name: str, loaded: Loaded) -> None:
    model = loaded(name)
    items = stimuli(9)
    right = collect(model, items, model.sites, ("mean",))
    row, model.row, model.padding_side = model.row, dataclasses.replace(model.row, pads_left=True), "left"
    try:
        assert largest_error(collect(model, items, model.sites, ("mean",)), right) > 1e-3
    finally:
        model.row = row


@pytest.mark.parametrize(
    ("name", "config"), [("t5", {"num_decoder_layers": 1}), ("bart", {"decoder_layers": 1, "decoder_ffn_dim": 16})]
)
def test_the_depth_of_an_encoder_decoder_is_that_of_its_encoder(
    name: str, config: dict[str, int], tmp_path: Path
) -> None:
    spec = resolve(str(save_named(tmp_path / name, name, **config)))
    assert spec.sites == ("embed", "resid_post.0", "resid_post.1", "resid_post.2", "final")
    assert set(collect(spec.load(), stimuli(2), spec.sites, ("mean",))) == {(site, "mean") for site in spec.sites}


def test_a_width_may_be_spelled_as_older_configurations_spell_it(tmp_path: Path) -> None:
    folder = save_named(tmp_path / "bloom", "bloom")
    config = json.loads((folder / "config.json").read_text())
    config["n_embed"] = config.pop("hidden_size")
    (folder / "config.json").write_text(json.dumps(config))
    spec = resolve(str(folder))
    assert spec.info.d_model == 32
    assert collect(spec.load(), stimuli(2), ["final"], ("mean",))["final", "mean"].shape == (2, 32)


def tokens_read(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled while the model runs: tokens of each batch, padding left out."""
    seen: list[int] = []
    forward = type(model)._forward

    def counted(self: TextModel, batch: Padded, *rest: Any) -> Any:
        seen.append(int(batch.real.sum()))
        return forward(self, batch, *rest)

    monkeypatch.setattr(type(model), "_forward", counted)
    return seen


LOOKING_BOTH_WAYS = {"gemma3_text": {"use_bidirectional_attention": True}, "llama": {"is_causal": False}}


@pytest.mark.parametrize("name", [*NAMES, *(f"{n}, both ways" for n in LOOKING_BOTH_WAYS)])
def test_what_stands_behind_a_span_is_left_unread_where_it_changes_nothing(
    name: str, loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every family is asked both ways; only a causal one may read less."""
    usual = name.removesuffix(", both ways")
    if name == usual:
        model = loaded(name)
    else:
        model = cast("TextModel", resolve(str(save_named(tmp_path / usual, usual, **LOOKING_BOTH_WAYS[usual]))).load())
    sites = [site for site in all_sites(model) if site != "pooled"]
    items = stimuli(12)
    read = tokens_read(model, monkeypatch)
    whole = collect(model, items, sites, ("concept_span", "mean"))
    all_tokens = sum(read)
    for model.padding_side in SIDES:
        read.clear()
        found = collect(model, items, sites, ("concept_span",))
        assert largest_error(found, {cell: whole[cell] for cell in found}) < TOLERANCE
        assert (sum(read) < 0.8 * all_tokens) == (model.row.causal and name == usual)


def test_a_branch_that_does_not_run_is_said(tmp_path: Path) -> None:
    config = {"pretraining_tp": 2, "slow_but_exact": True}
    model = resolve(str(save_model(tmp_path / "bloom", "bloom", tokenizer="bos", **config))).load()
    assert collect(model, stimuli(2), ["resid_post.2"], ("mean",))
    with pytest.raises(UsageError, match=r"ran, but not through attn_out\.1"):
        collect(model, stimuli(2), ["attn_out.1"], ("mean",))


class OneList(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.ModuleList(torch.nn.Identity() for _ in range(2))


def test_a_wrong_row_is_said_when_the_model_loads() -> None:
    assert len(blocks_of(OneList(), Family("odd", "first"), 2, "x")) == 2
    with pytest.raises(UsageError, match="0 blocks at 'third', but 2"):
        blocks_of(OneList(), Family("odd", "third"), 2, "x")
    with pytest.raises(UsageError, match="2 blocks at 'first', but 5"):
        blocks_of(OneList(), Family("odd", "first"), 5, "x")
