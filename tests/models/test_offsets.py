"""Tokenizers that do not report offsets: what is found must be what a fast tokenizer reports, or nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import UsageError
from conceptprobe.models import resolve
from conceptprobe.models.offsets import offsets_by_search
from conceptprobe.models.options import Options
from conceptprobe.models.text import TextModel
from conceptprobe.models.tokens import Limits, encode, pad
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import collect, largest_error, save_model, save_tokenizer

TEXTS = st.text(
    st.one_of(
        st.sampled_from("soul theand .,\n"), st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0")
    ),
    min_size=1,
    max_size=24,
)


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("fast")
    save_tokenizer(folder, "bytes")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.fixture(scope="module", params=["ByT5Tokenizer", "PerceiverTokenizer", "CanineTokenizer"])
def slow(request: pytest.FixtureRequest) -> Any:
    import transformers

    return getattr(transformers, request.param)()


def item(text: str, span: tuple[int, int] | None = None) -> Stimulus:
    return Stimulus("x", "c", "s", "control", "text", text, span=span)


@given(TEXTS)
@settings(deadline=None)
def test_what_is_found_is_what_a_fast_tokenizer_reports(fast: Any, text: str) -> None:
    raw = fast(text, return_offsets_mapping=True)
    ids, reported = raw["input_ids"], [tuple(pair) for pair in raw["offset_mapping"]]
    found = offsets_by_search(fast, text, ids, [0] * len(ids), "x")
    whole = [len(text[a:b].encode()) == len(fast.decode([i]).encode()) for i, (a, b) in zip(ids, reported, strict=True)]
    for same, mine, theirs in zip(whole, found, reported, strict=True):
        # Of a character in pieces a token may hold the end, and the beginning of the next: then no less is found.
        assert mine == theirs if same else mine[0] <= theirs[1] and theirs[0] <= mine[1]
    assert _covered(found) == set(range(len(text)))


@given(TEXTS)
@settings(deadline=None)
def test_every_character_has_its_tokens_and_only_those(slow: Any, text: str) -> None:
    raw = slow(text, return_special_tokens_mask=True)
    ids, added = raw["input_ids"], raw["special_tokens_mask"]
    try:
        found = offsets_by_search(slow, text, ids, added, "x")
    except UsageError:
        own = [i for i, extra in zip(ids, added, strict=True) if not extra]
        assert slow.decode(own, clean_up_tokenization_spaces=False) != text  # refused for a reason
        return
    pairs = [pair for pair, extra in zip(found, added, strict=True) if not extra]
    assert _covered(pairs) == set(range(len(text)))
    assert pairs == sorted(pairs)
    if type(slow).__name__ == "CanineTokenizer":
        assert pairs == [(i, i + 1) for i in range(len(text))]
    else:  # bytes
        assert [pairs.count((i, i + 1)) for i in range(len(text))] == [len(c.encode()) for c in text]


def _covered(pairs: list[tuple[int, int]]) -> set[int]:
    return {i for a, b in pairs for i in range(a, b)}


@pytest.mark.parametrize("options", [Options(), Options(prefix="frage: ")])
def test_a_span_is_found_without_reported_offsets(slow: Any, options: Options) -> None:
    text = "die Seele, l'âme, 靈魂 und mehr"
    for word in ("Seele", "âme", "靈魂"):
        start = text.index(word)
        stimulus = item(text, (start, start + len(word)))
        (coded,) = encode(slow, (stimulus,), Limits(None, 2_000_000), needs_offsets=True, options=options)
        inside = pad([coded], [stimulus], pad_id=0, side="right").in_span[0]
        assert slow.decode(coded.ids[inside].tolist()) == word


def test_a_tokenizer_that_changes_the_text_is_refused_by_name(slow: Any) -> None:
    base: Any = type(slow)
    lowering = type("Lowering", (base,), {"_tokenize": lambda self, text: base._tokenize(self, text.lower())})()
    with pytest.raises(UsageError, match="stimulus 'x': Lowering does not report which characters"):
        encode(lowering, (item("Her soul", (4, 8)),), Limits(None, 2_000_000), needs_offsets=True)
    assert encode(lowering, (item("Her soul"),), Limits(None, 2_000_000), needs_offsets=False)


def test_a_model_with_a_tokenizer_of_bytes_reads_spans(tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer

    folder = save_model(tmp_path / "m", "bert", vocab_size=384, pad_token_id=0)
    for file in folder.glob("*token*"):
        file.unlink()
    ByT5Tokenizer().save_pretrained(folder)
    model = cast("TextModel", resolve(str(folder)).load())
    text = "Die Seele, l'âme"
    spans = {word: (text.index(word), text.index(word) + len(word)) for word in ("Seele", "âme")}
    rows = collect(model, [item(text, span) for span in spans.values()], ["tokens"], ["concept_span"])
    table = model.net.get_input_embeddings().weight.detach().numpy()
    expected = np.array([table[[b + 3 for b in word.encode()]].mean(axis=0) for word in spans])
    assert largest_error(rows, {("tokens", "concept_span"): expected}) < 1e-6
