"""Texts -> tokens: which tokens are special, and which belong to a span."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conceptprobe.errors import UsageError
from conceptprobe.models.options import Options
from conceptprobe.models.tokens import Coded, Limits, encode, pad
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import WORDS, save_tokenizer

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


@given(st.integers(1, 30), st.integers(3, 12), st.sampled_from(["left", "right"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_cut_text_is_what_the_tokenizer_itself_cuts(tokenizer: Any, n: int, longest: int, side: Any) -> None:
    text = " ".join((WORDS * 2)[:n])
    limits = Limits(longest, 10_000)
    (coded,) = encode(tokenizer, (item(text),), limits, needs_offsets=False, options=Options(truncate=side))
    whole = tokenizer(text)["input_ids"]
    tokenizer.truncation_side = side
    assert coded.ids.tolist() == tokenizer(text, truncation=True, max_length=longest)["input_ids"]
    assert coded.cut == max(0, len(whole) - longest)
    tokenizer.no_truncation() if hasattr(tokenizer, "no_truncation") else tokenizer._tokenizer.no_truncation()


def test_a_text_that_is_too_long_is_refused_unless_it_is_to_be_cut(tokenizer: Any) -> None:
    with pytest.raises(UsageError, match=r"'x' has \d+ tokens; this model takes 4") as raised:
        encode(tokenizer, (item("her inner soul was quiet"),), Limits(4, 10_000), needs_offsets=False)
    assert "--truncate" in raised.value.hint


@pytest.mark.parametrize(("side", "text"), [("left", "soul was quiet"), ("right", "her inner soul")])
def test_a_span_is_never_cut_away_or_into(tokenizer: Any, side: Any, text: str) -> None:
    start = text.index("soul")
    stimulus = item(text, (start, start + 4))
    around = tokenizer.num_special_tokens_to_add()
    pieces = int(one(tokenizer, text, stimulus.span)[1].sum())
    options = Options(truncate=side)
    for room in range(1, pieces + around):
        with pytest.raises(UsageError, match=f"at the {side} it would lose its span|leaves no room"):
            encode(tokenizer, (stimulus,), Limits(room, 10_000), needs_offsets=True, options=options)
    other = Options(truncate="right" if side == "left" else "left")
    kept = encode(tokenizer, (stimulus,), Limits(pieces + around, 10_000), needs_offsets=True, options=other)
    assert pad(kept, [stimulus], pad_id=1, side="right").in_span.sum() == pieces


def test_a_cut_text_keeps_its_prefix(tokenizer: Any) -> None:
    options = Options(prefix="the letter: ", truncate="right")
    (whole,) = encode(tokenizer, (item("soul was quiet"),), LIMITS, needs_offsets=False, options=options)
    (cut,) = encode(
        tokenizer, (item("soul was quiet"),), Limits(len(whole) - 2, 10_000), needs_offsets=False, options=options
    )
    own = np.flatnonzero(~whole.special)
    assert cut.ids.tolist() == np.delete(whole.ids, own[-2:]).tolist()
    with pytest.raises(UsageError, match="leaves no room"):
        encode(
            tokenizer,
            (item("soul was quiet"),),
            Limits(int(whole.special.sum()), 10_000),
            needs_offsets=False,
            options=options,
        )


@pytest.mark.parametrize("text", ["soul", "<s>soul", "<s><s> soul"])
def test_one_bos_stands_in_front_whoever_wrote_it(tmp_path: Path, text: str) -> None:
    from tokenizers import processors
    from transformers import AutoTokenizer

    save_tokenizer(tmp_path, "bos")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> <s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    assert tokenizer("soul")["input_ids"][:2] == [tokenizer.bos_token_id] * 2
    coded, inside = one(tokenizer, text, (len(text) - 4, len(text)))
    assert coded.ids.tolist().count(tokenizer.bos_token_id) == 1
    assert coded.ids[0] == tokenizer.bos_token_id
    assert text[coded.start[inside].min() : coded.end[inside].max()] == "soul"
