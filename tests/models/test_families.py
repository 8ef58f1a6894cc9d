"""The table of families: every row is loaded once, so that no new transformers can silently move a module."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from conceptprobe.errors import UsageError
from conceptprobe.models import POOLINGS, resolve
from conceptprobe.models.families.base import Family, blocks_of
from conceptprobe.models.families.text import FAMILIES, find_family
from conceptprobe.models.text import TextModel
from conceptprobe.models.tokens import Padded
from models.tiny_models import collect, largest_error, one_by_one, save_model, stimuli

ENCODERS = {"bert", "roberta", "xlm-roberta", "mpnet", "electra", "distilbert"}


# A row with a prefix is a tower of a joint model: test_joint.py.
@pytest.mark.parametrize("model_type", sorted(m for m, row in FAMILIES.items() if not row.prefix))
def test_every_row_of_the_table_holds(model_type: str, tmp_path: Path) -> None:
    folder = save_model(tmp_path / model_type, model_type, tokenizer="encoder" if model_type in ENCODERS else "bos")
    spec = resolve(str(folder))
    model = spec.load()
    row = FAMILIES[model_type]
    assert bool(model.net._supports_sdpa) == row.sdpa
    assert model.net.config._attn_implementation == ("sdpa" if row.sdpa else "eager")
    assert (spec.sites[-1] == "pooled") == bool(row.reads_at)

    sites = ("tokens", *spec.sites)
    items = stimuli(9)
    alone = one_by_one(model, items, sites, POOLINGS)
    for model.padding_side in ("left", "right"):
        assert largest_error(collect(model, items, sites, POOLINGS), alone) < 1e-5

    ids = torch.tensor([model.tokenizer(items[7].content)["input_ids"]])
    out = model.net(ids, output_hidden_states=True)
    blocks = [f"resid_post.{i}" for i in range(spec.info.n_layers)]
    for site, theirs in zip(("embed", *blocks), out.hidden_states, strict=True):
        same = np.allclose(alone[site, "cls"][7], theirs[0, 0].numpy(), atol=1e-5)
        assert same == (site != blocks[-1] or not row.norm), site
    assert np.allclose(alone["final", "cls"][7], out.last_hidden_state[0, 0].numpy(), atol=1e-5)


def tokens_read(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled while the model runs: tokens of each batch, padding left out."""
    seen: list[int] = []
    forward = type(model)._forward

    def counted(self: TextModel, batch: Padded, *rest: Any) -> Any:
        seen.append(int(batch.real.sum()))
        return forward(self, batch, *rest)

    monkeypatch.setattr(type(model), "_forward", counted)
    return seen


@pytest.mark.parametrize(
    ("model_type", "config"),
    [
        *((m, {}) for m, row in sorted(FAMILIES.items()) if not row.prefix),
        ("falcon", {"alibi": True}),
        ("gemma3_text", {"use_bidirectional_attention": True}),
        ("llama", {"is_causal": False}),
    ],
)
def test_what_stands_behind_a_span_is_left_unread_where_it_changes_nothing(
    model_type: str, config: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every family is asked both ways; only a causal one may read less."""
    folder = save_model(
        tmp_path / model_type, model_type, tokenizer="encoder" if model_type in ENCODERS else "bos", **config
    )
    model = cast("TextModel", resolve(str(folder)).load())
    sites = [site for site in ("tokens", *model.sites) if site != "pooled"]
    items = stimuli(20)
    read = tokens_read(model, monkeypatch)
    whole = collect(model, items, sites, ("concept_span", "mean"))
    all_tokens = sum(read)
    for model.padding_side in ("left", "right"):
        read.clear()
        found = collect(model, items, sites, ("concept_span",))
        assert largest_error(found, {cell: whole[cell] for cell in found}) < 1e-5
        looks_back = FAMILIES[model_type].causal and not config.keys() & {"use_bidirectional_attention", "is_causal"}
        assert (sum(read) < 0.8 * all_tokens) == looks_back


def test_falcon_with_alibi_pads_on_either_side(tmp_path: Path) -> None:
    model = resolve(str(save_model(tmp_path / "falcon", "falcon", tokenizer="bos", alibi=True))).load()
    items = stimuli(9)
    alone = one_by_one(model, items, model.sites, POOLINGS)
    for model.padding_side in ("left", "right"):
        assert largest_error(collect(model, items, model.sites, POOLINGS), alone) < 1e-5


def test_a_family_that_is_not_in_the_table_is_found_by_its_list_of_blocks(tmp_path: Path) -> None:
    assert "gpt_bigcode" not in FAMILIES
    config = {"n_layer": 3, "n_head": 4, "n_embd": 32, "n_inner": 48, "n_positions": 64}
    folder = save_model(tmp_path / "other", "gpt_bigcode", tokenizer="bytes", **config)
    model = resolve(str(folder)).load()
    assert model.row.blocks == "h"
    assert model.row.positions
    items = stimuli(9)
    alone = one_by_one(model, items, model.sites, POOLINGS)
    for model.padding_side in ("left", "right"):
        assert largest_error(collect(model, items, model.sites, POOLINGS), alone) < 1e-5


class TwoLists(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.ModuleList(torch.nn.Identity() for _ in range(2))
        self.second = torch.nn.ModuleList(torch.nn.Identity() for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_two_lists_of_blocks_are_not_guessed_between() -> None:
    with pytest.raises(UsageError, match=r"2 lists of blocks \(first, second\)"):
        find_family(TwoLists(), "odd", 2)
    with pytest.raises(UsageError, match="no list of blocks"):
        find_family(TwoLists(), "odd", 3)


def test_a_wrong_row_is_said_when_the_model_loads() -> None:
    assert len(blocks_of(TwoLists(), Family("odd", "first"), 2, "x")) == 2
    with pytest.raises(UsageError, match="0 blocks at 'third', but 2"):
        blocks_of(TwoLists(), Family("odd", "third"), 2, "x")
    with pytest.raises(UsageError, match="2 blocks at 'first', but 5"):
        blocks_of(TwoLists(), Family("odd", "first"), 5, "x")
