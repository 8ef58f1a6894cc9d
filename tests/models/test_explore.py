"""A family that is not in the table: found by watching, read without padding, refused where it is not clear."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from conceptprobe.errors import UsageError
from conceptprobe.models import POOLINGS, resolve
from conceptprobe.models.families.explore import find_family
from conceptprobe.models.families.text import FAMILIES
from conceptprobe.models.families.text_base import TextFamily
from conceptprobe.models.text import TextModel
from models.plain import Plain
from models.tiny_models import collect, largest_error, save_model, stimuli

UNKNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt_bigcode": ("h", {"n_layer": 3, "n_head": 4, "n_embd": 32, "n_inner": 48, "n_positions": 64}),
    "biogpt": ("layers", {}),
    "xlm-roberta-xl": ("encoder.layer", {}),
    "recurrent_gemma": (
        "layers",
        {"lru_width": 32, "attention_window_size": 6, "block_types": ["recurrent", "attention"], "head_dim": 8},
    ),
}
"""Families of transformers that have no row: path of their blocks, configuration. The last one has a recurrent state."""


@pytest.mark.parametrize("model_type", sorted(UNKNOWN))
def test_a_family_without_a_row_gives_the_numbers_of_a_plain_forward_pass(model_type: str, tmp_path: Path) -> None:
    assert model_type not in FAMILIES
    path, config = UNKNOWN[model_type]
    folder = save_model(tmp_path / "model", model_type, tokenizer="bos", **config)
    model = resolve(str(folder)).load()
    assert isinstance(model, TextModel)
    assert model.row == TextFamily(model_type, path, positions=False, pads=False, sdpa=False)
    items = stimuli(16)
    plain = Plain(folder, model.row).rows(items, ("tokens", *model.sites), POOLINGS)
    for model.padding_side in ("left", "right"):
        assert largest_error(collect(model, items, ("tokens", *model.sites), POOLINGS), plain) < 1e-5


def test_a_text_longer_than_the_tables_of_a_family_without_a_row_is_said(tmp_path: Path) -> None:
    """This one numbers positions from behind the padding id, and so has fewer than config.json says."""
    model = resolve(str(save_model(tmp_path / "model", "xlm-roberta-xl", tokenizer="bos"))).load()
    long = [dataclasses.replace(stimuli(1)[0], content="m " * 61 + "m", span=None)]
    assert len(model.tokenizer(long[0].content)["input_ids"]) == 63
    with pytest.raises(UsageError, match="cannot read a text of 63 tokens"):
        collect(model, long, ["final"], ("mean",))


class Block(nn.Module):
    """Keeps [b, t, d]."""

    def __init__(self, inner: int = 0) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(inner))

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, None]:
        for expert in self.experts:
            hidden_states = hidden_states + expert(hidden_states)
        return hidden_states, None


class Net(nn.Module):
    """Ids through the lists that are named, in order."""

    config = SimpleNamespace(vocab_size=40)
    device = torch.device("cpu")

    def __init__(self, run: Callable[[Any, torch.Tensor], torch.Tensor], **lists: nn.ModuleList) -> None:
        super().__init__()
        self.table = nn.Embedding(40, 8)
        self.run = run
        for name, blocks in lists.items():
            setattr(self, name, blocks)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.run(self, self.table(input_ids))


def through(*names: str) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    def run(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        for name in names:
            for block in getattr(net, name):
                (hidden, _) = block(hidden_states=hidden)
        return hidden

    return run


def blocks(n: int, inner: int = 0) -> nn.ModuleList:
    return nn.ModuleList(Block(inner) for _ in range(n))


def test_the_longest_list_is_taken_and_lists_inside_of_it_are_not_asked() -> None:
    net = Net(through("short", "long"), short=blocks(2), long=blocks(3, inner=5))
    assert find_family(net, "odd", 3).blocks == "long"
    with pytest.raises(UsageError, match=r"'long', has 3 entries, but config\.json says 2"):
        find_family(net, "odd", 2)


def test_two_lists_as_long_are_not_guessed_between() -> None:
    with pytest.raises(UsageError, match=r"2 lists of blocks \(first, second\)"):
        find_family(Net(through("first", "second"), first=blocks(2), second=blocks(2)), "odd", 2)


def test_a_list_that_does_not_run_or_not_in_order_or_twice_is_none() -> None:
    def backwards(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        for block in reversed(net.lists):
            (hidden, _) = block(hidden)
        return hidden

    def twice(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        return through("lists", "lists")(net, hidden)

    def one_twice(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        first, _ = net.lists
        return first(first(hidden)[0])[0]

    for run in (backwards, twice, one_twice, through()):
        with pytest.raises(UsageError, match="no list of blocks was found"):
            find_family(Net(run, lists=blocks(2)), "odd", 2)


def test_a_list_whose_members_change_the_layout_is_none() -> None:
    """Heads side by side, a narrowing network, and time before batch are no residual stream."""

    def turned(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        return through("lists")(net, hidden.transpose(0, 1))

    def narrowing(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        for linear in net.lists:
            hidden = linear(hidden)
        return hidden

    narrow = nn.ModuleList([nn.Linear(8, 6), nn.Linear(6, 4)])
    for net in (Net(turned, lists=blocks(2)), Net(narrowing, lists=narrow)):
        with pytest.raises(UsageError, match="no list of blocks was found"):
            find_family(net, "odd", 2)


def test_what_does_not_run_on_text_alone_is_said_and_leaves_no_hook() -> None:
    def broken(net: Any, hidden: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("pixels are missing")

    net = Net(broken, lists=blocks(2))
    with pytest.raises(UsageError, match=r"does not run on a text alone \(pixels are missing\)"):
        find_family(net, "odd", 2)
    assert not any(block._forward_hooks for block in net.lists)


def test_shared_blocks_and_unknown_encoder_decoders_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    config = {"num_hidden_groups": 1, "embedding_size": 16}
    with pytest.raises(UsageError, match="blocks share their weights"):
        resolve(str(save_model(tmp_path / "albert", "albert", **config)))
    (tmp_path / "pegasus").mkdir()
    (tmp_path / "pegasus" / "config.json").write_text('{"model_type": "pegasus", "is_encoder_decoder": true}')
    with pytest.raises(UsageError, match="an encoder-decoder in no table"):
        resolve(str(tmp_path / "pegasus"))
