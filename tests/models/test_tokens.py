"""Texts -> tokens: which tokens are special, and which belong to a span."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.errors import UsageError
from conceptprobe.models.tokens import Coded, Limits, encode, pad
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import save_tokenizer

LIMITS = Limits(None, 10_000)


@pytest.fixture(scope="module", params=["encoder", "bos", "bytes"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp(f"tokenizer-{request.param}")
    save_tokenizer(folder, request.param)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def item(text: str, span: tuple[int, int] | None = None) -> Stimulus:
    return Stimulus("x", "c", "s", "control", "text", text, span=span)


def one(tokenizer: Any, text: str, span: tuple[int, int] | None = None) -> tuple[Coded, np.ndarray]:
    (coded,) = encode(tokenizer, (item(text, span),), LIMITS, needs_offsets=True)
    return coded, pad([coded], [item(text, span)], pad_id=1, side="right").in_span[0]


def covered(tokenizer: Any, text: str, span: tuple[int, int]) -> str:
    """The text under the tokens of the span."""
    coded, inside = one(tokenizer, text, span)
    assert inside.any()
    return text[coded.start[inside].min() : coded.end[inside].max()]


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [
        ("soul is quiet", (0, 4), "soul"),
        ("Her soul is quiet", (4, 8), "soul"),
        ("the quiet soul", (10, 14), "soul"),
        ("the quiet soul.", (10, 14), "soul"),
        ("her inner self was", (4, 14), "inner self"),
        ("her  soul", (5, 9), "soul"),
    ],
)
def test_the_tokens_of_a_span_cover_the_word_and_no_other(
    tokenizer: Any, text: str, span: tuple[int, int], expected: str
) -> None:
    assert covered(tokenizer, text, span) == expected


def test_a_token_that_begins_with_a_blank_does_not_belong_to_a_span_that_ends_there(tokenizer: Any) -> None:
    coded, inside = one(tokenizer, "the soul", (0, 4))  # the blank after "the" is in the span
    assert coded.end[inside].max() <= 3


def test_an_unknown_word_and_a_mask_are_content(tokenizer: Any) -> None:
    for text in ("soul \u4e2d soul", "soul <mask> soul"):
        coded, _ = one(tokenizer, text)
        added = len(tokenizer("soul")["input_ids"]) - len(tokenizer("soul", add_special_tokens=False)["input_ids"])
        assert int(coded.special.sum()) == added


def test_a_token_that_is_both_unknown_and_end_of_text_is_content_unless_it_was_added(tokenizer: Any) -> None:
    both = copy.deepcopy(tokenizer)
    both.unk_token = both.eos_token
    coded, _ = one(both, "soul </s> soul")
    assert not coded.special[1:-1].any()
    assert coded.special[-1] == tokenizer("soul", return_special_tokens_mask=True)["special_tokens_mask"][-1]


def test_special_tokens_typed_in_a_text_are_masked_by_id(tokenizer: Any) -> None:
    coded, _ = one(tokenizer, "soul </s> soul")
    assert coded.special[list(coded.ids).index(tokenizer.eos_token_id)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(["left", "right"]))
def test_padding_moves_nothing_but_the_place(lengths: list[int], side: str) -> None:
    rng = np.random.default_rng(len(lengths))
    rows = [
        Coded(rng.integers(10, 99, n), rng.random(n) < 0.3, np.arange(n) * 3, np.arange(n) * 3 + 2) for n in lengths
    ]
    items = [item("x" * 40, (3, 8)) for _ in lengths]
    batch = pad(rows, items, pad_id=7, side=side)
    for i, row in enumerate(rows):
        assert np.array_equal(batch.ids[i, batch.real[i]], row.ids)
        assert np.array_equal(batch.content[i, batch.real[i]], ~row.special)
        assert (batch.ids[i, ~batch.real[i]] == 7).all()
        assert not (batch.content[i] & ~batch.real[i]).any()
        assert batch.real[i, 0 if side == "right" else -1]
        alone = pad([row], items[:1], pad_id=7, side=side)
        assert np.array_equal(batch.in_span[i, batch.real[i]], alone.in_span[0])


def test_a_tokenizer_without_offsets_cannot_find_spans(tokenizer: Any, tmp_path: Path) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(UsageError, match="does not report which characters"):
        encode(Slow(), (item("soul"),), LIMITS, needs_offsets=True)
