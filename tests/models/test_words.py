"""Static models: a bag of words has no order, whatever the pooling."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.models import POOLINGS, ModelSpec, cooccurrence, resolve
from conceptprobe.models.base import ModelInfo
from conceptprobe.models.words import TfIdf, WordsModel
from conceptprobe.stimuli.stimulus import Stimulus
from conceptprobe.stimuli.words import words
from models.tiny_models import WORDS, collect, stimuli

TFIDF = resolve("words:tfidf")


class Known:
    """Vectors of a few words: the sum is easy to follow."""

    vectors: ClassVar = {"soul": [1, 0], "band": [0, 1], "played": [4, 4]}

    def mean(self, words: list[str], /) -> np.ndarray:
        rows = [self.vectors[w] for w in sorted(words) if w in self.vectors]
        return np.mean(rows, axis=0).astype(np.float32) if rows else np.zeros(2, np.float32)


def static(info: ModelInfo = TFIDF.info) -> WordsModel:
    return WordsModel(replace(info, name="words:known", family="cooccurrence"), Known())


def item(text: str, word: str, name: str = "x") -> Stimulus:
    start = text.index(word)
    return Stimulus(name, "c", "s", "positive", "text", text, span=(start, start + len(word)))


def test_each_pooling_pools_its_words() -> None:
    rows = collect(static(), [item("The band played soul.", "soul")], ["embed"], POOLINGS)
    assert rows["embed", "concept_span"].tolist() == [[1, 0]]
    assert rows["embed", "context"].tolist() == [[2, 2.5]]
    assert rows["embed", "last"].tolist() == [[1, 0]]
    assert np.allclose(rows["embed", "mean"], [[5 / 3, 5 / 3]])
    assert np.array_equal(rows["embed", "cls"], rows["embed", "mean"])


def test_unknown_words_alone_give_zeros() -> None:
    assert not collect(static(), [item("Xyzzy plugh", "Xyzzy")], ["embed"], ["mean"])["embed", "mean"].any()


@pytest.mark.parametrize(
    "text", ["a soulful song", "a kindsoul song", "a kind'soul song", "the soul's song", "(soul)", "soul-music"]
)
def test_a_span_stands_for_its_whole_word(text: str) -> None:
    model = WordsModel(TFIDF.info, None)
    rows = collect(model, [item(text, "soul")], ["embed"], ["concept_span", "context", "mean"])
    inside, around, whole = (rows["embed", p][0] > 0 for p in ("concept_span", "context", "mean"))
    assert inside.sum() == 1
    assert not (inside & around).any()
    assert np.array_equal(inside | around, whole)
    assert whole.sum() == len(set(words(text)))


@given(st.permutations(WORDS[:9]), st.permutations(WORDS[:9]))
def test_the_same_words_give_the_same_bits_in_any_order(one: list[str], other: list[str]) -> None:
    pair = [item(" ".join(ws), "soul", name) for name, ws in (("a", one), ("b", other))]
    for model in (static(), WordsModel(TFIDF.info, None)):
        rows = collect(model, pair, ["embed"], ["mean", "concept_span", "context"])
        for values in rows.values():
            assert np.array_equal(values[0], values[1])


def test_tfidf_is_that_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    items = stimuli(600)  # more than one batch
    ours = collect(TFIDF.load(), items, TFIDF.sites, ["mean"])["embed", "mean"]
    vectorizer = TfidfVectorizer(tokenizer=words, lowercase=False, token_pattern=None)
    theirs = vectorizer.fit_transform([s.content for s in items]).toarray()
    assert list(vectorizer.get_feature_names_out()) == list(TfIdf([words(s.content) for s in items]).column)
    assert np.abs(ours - theirs).max() < 1e-6


def test_tfidf_has_no_twin() -> None:
    assert isinstance(TFIDF, ModelSpec)
    assert TFIDF.info.kind == "static"
    with pytest.raises(UsageError, match="has no random twin"):
        TFIDF.twin(0)


def test_a_span_is_needed_where_it_is_pooled() -> None:
    with pytest.raises(UsageError, match="has no span"):
        collect(static(), [Stimulus("bare", "c", "s", "control", "text", "soul")], ["embed"], ["concept_span"])


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small folder of word vectors in the place of the packaged one."""
    vocabulary = sorted(set(WORDS))
    rng = np.random.default_rng(0)
    tensors = {
        "vectors": rng.standard_normal((len(vocabulary), 6)).astype(np.float16),
        "counts": np.arange(len(vocabulary))[::-1].copy(),
    }
    content = {
        "vectors.safetensors": save(tensors),
        "vocab.txt": "".join(f"{w}\n" for w in vocabulary).encode(),
        "config.json": b"{}",
    }
    content["sha256.json"] = json.dumps({f: hashlib.sha256(raw).hexdigest() for f, raw in content.items()}).encode()
    for file, raw in content.items():
        (tmp_path / file).write_bytes(raw)
    monkeypatch.setattr(cooccurrence, "FOLDER", tmp_path)
    return tmp_path


def test_cooccurrence_vectors_and_their_twin_share_words_not_numbers(packaged: Path) -> None:
    spec, twin = resolve("words:cooccurrence"), resolve("random:words:cooccurrence#1")
    items = [item("The band played soul for a zebra of a dying man.", "soul")]  # no vector for the zebra
    real = collect(spec.load(), items, spec.sites, POOLINGS)
    drawn = collect(twin.load(), items, twin.sites, POOLINGS)
    vectors = cooccurrence.CooccurrenceVectors.load()
    assert np.array_equal(real["embed", "mean"][0], vectors.mean(words(items[0].content)))
    assert np.array_equal(real["embed", "concept_span"][0], vectors.mean(["soul"]))
    assert real["embed", "mean"].shape == drawn["embed", "mean"].shape == (1, spec.info.d_model) == (1, 6)
    assert not np.allclose(real["embed", "mean"], drawn["embed", "mean"])
    again = collect(resolve("random:words:cooccurrence#1").load(), items, twin.sites, POOLINGS)
    other = collect(resolve("random:words:cooccurrence#2").load(), items, twin.sites, POOLINGS)
    for cell in drawn:
        assert np.array_equal(again[cell], drawn[cell])
        assert not np.allclose(other[cell], drawn[cell])
    assert spec.info.n_params == vectors.vectors.size
    assert (spec.info.kind, twin.info.kind) == ("static", "twin")
    assert not twin.info.related_to(spec.info)
    with pytest.raises(UsageError, match="has no random twin"):
        twin.twin(2)


def test_the_hash_of_cooccurrence_vectors_covers_their_words(packaged: Path) -> None:
    before = resolve("words:cooccurrence").info.sha256
    (packaged / "vocab.txt").write_text("other words\n")
    assert resolve("words:cooccurrence").info.sha256 != before


def test_vectors_that_are_not_installed_are_said(packaged: Path) -> None:
    (packaged / "vectors.safetensors").unlink()
    with pytest.raises(MissingError, match="words:cooccurrence is not in this installation") as error:
        resolve("words:cooccurrence")
    assert error.value.hint


def test_static_models_import_no_torch() -> None:
    code = """
import sys
from conceptprobe.models import resolve
from conceptprobe.stimuli.stimulus import Stimulus
model = resolve("words:tfidf").load()
list(model.activations([Stimulus("x", "c", "s", "control", "text", "a soul")], ["embed"], ["mean"]))
assert not {"torch", "transformers", "sklearn"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)
