"""Lexical baselines: what can be read from the words of a sentence without composing them.

tf-idf over words, over characters and over pairs of neighbouring words, means of static vectors over the whole sentence
and over the context of the concept word alone, and position and length. But for the pairs none sees the order of words;
pairs do, because counts of them are word statistics too, and a sense that a bigram gives away needs no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.models.base import Pooling
from conceptprobe.probes.crossfit import Space
from conceptprobe.stimuli.stimulus import Stimulus
from conceptprobe.stimuli.words import words

if TYPE_CHECKING:
    from jaxtyping import Float

COOCCURRENCE = "words:cooccurrence"


def lexical_spaces(run: RunContext, subject: Subject, sets: tuple[str, ...]) -> dict[str, Space]:
    """Baseline name -> features of the rows of `sets`, one set after the other.

    None for a model of pictures. Vocabulary and idf come from all the rows: they use no label. Spans are not needed:
    where a set has none, the baselines of context and position are left out.
    """
    if subject.modality != "text":
        return {}
    stimuli = [s for name in sets for s in run.sets[name]]
    spans = all(s.span is not None for s in stimuli)
    # Counts are the same for every model.
    spaces = dict(run.once(("tfidf", *sets), lambda: _counts(stimuli)))

    def stacked(model: str, site: str, pooling: Pooling) -> Space:
        return Space(np.concatenate([run.read(model, name, site, pooling) for name in sets]))

    if any(s.name == COOCCURRENCE for s in run.statics()):
        spaces[f"{COOCCURRENCE}-mean"] = stacked(COOCCURRENCE, "embed", "mean")
        if spans:
            spaces[COOCCURRENCE] = stacked(COOCCURRENCE, "embed", "concept_span")
            spaces[f"{COOCCURRENCE}-context"] = stacked(COOCCURRENCE, "embed", "context")
    if subject.info.kind == "trained":
        spaces[f"static:{subject.name}-mean"] = stacked(subject.name, "tokens", "mean")
        if spans:
            spaces[f"static:{subject.name}-context"] = stacked(subject.name, "tokens", "context")
    if spans:
        spaces["position+length"] = Space(np.array([_position_and_length(s) for s in stimuli]))
    return spaces


def _counts(stimuli: list[Stimulus]) -> dict[str, Space]:
    return {
        "words:tfidf": Space(_tfidf(stimuli, "word", (1, 1)), standardised=False),
        "words:tfidf-bigrams": Space(_tfidf(stimuli, "word", (1, 2)), standardised=False),
        "words:tfidf-chars": Space(_tfidf(stimuli, "char_wb", (3, 5)), standardised=False),
    }


def _tfidf(stimuli: list[Stimulus], analyzer: str, ngrams: tuple[int, int]) -> Float[np.ndarray, "n v"]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    own = {"tokenizer": words, "token_pattern": None, "lowercase": False} if analyzer == "word" else {}
    vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams, sublinear_tf=True, **own)
    return np.asarray(vectorizer.fit_transform([s.content for s in stimuli]).toarray(), dtype=np.float64)


def _position_and_length(stimulus: Stimulus) -> list[float]:
    start, end = stimulus.span or (0, 0)
    before, total = len(words(stimulus.content[:start])), len(words(stimulus.content))
    return [before, total - before, before / max(total, 1), start, len(stimulus.content), end - start]
