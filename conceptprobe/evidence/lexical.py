"""Lexical baselines: what can be read from the words of a sentence without composing them.

tf-idf over words, over characters and over pairs of neighbouring words, means of static vectors over the whole sentence
and over the context of the concept word alone, how pleasant, concrete and frequent the words are, and position and
length. But for the pairs none sees the order of words; pairs do, because counts of them are word statistics too, and a
sense that a bigram gives away needs no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.models.base import Pooling
from conceptprobe.probes.crossfit import Space, rotated
from conceptprobe.stimuli.stimulus import Stimulus
from conceptprobe.stimuli.words import words

if TYPE_CHECKING:
    from jaxtyping import Float

COOCCURRENCE = "words:cooccurrence"
OWN = "static:"
"""Begins the name of what is read from a model's own token table, and differs from model to model."""
PROXIES = "words:proxies"
"""How pleasant, concrete and frequent the words are: what a probe may read in the concept's stead."""


def lexical_spaces(
    run: RunContext,
    subject: Subject,
    sets: tuple[str, ...],
    *,
    whole: bool = False,
    rows: Float[np.ndarray, "m n"] | None = None,
) -> dict[str, Space]:
    """Baseline name -> features of the rows of `sets`, one set after the other.

    None for a model of pictures. Vocabulary and idf come from all the rows: they use no label. `whole`: the sentences are
    read as wholes, spans or no spans, and the baselines of span, context and position are left out. `rows`: means of these
    n rows, to be read in their place.
    """
    if subject.modality != "text":
        return {}
    stimuli = [s for name in sets for s in run.sets[name]]
    # Counts are the same for every model.
    spaces = dict(run.once(("tfidf", *sets, str(rows is None)), lambda: _counts(stimuli, rows)))

    def read(model: str, site: str, pooling: Pooling) -> Float[np.ndarray, "n d"]:
        x = np.concatenate([run.read(model, name, site, pooling) for name in sets])
        return x if rows is None else rows @ x

    if any(s.name == COOCCURRENCE for s in run.statics()):
        spaces[f"{COOCCURRENCE}-mean"] = Space(read(COOCCURRENCE, "embed", "mean"))
        if whole:
            spaces[PROXIES] = Space(read(COOCCURRENCE, "proxies", "mean"))
        else:
            spaces[COOCCURRENCE] = Space(read(COOCCURRENCE, "embed", "concept_span"))
            spaces[f"{COOCCURRENCE}-context"] = Space(read(COOCCURRENCE, "embed", "context"))
            proxies = [read(COOCCURRENCE, "proxies", pooling) for pooling in ("concept_span", "context")]
            spaces[PROXIES] = Space(np.hstack(proxies))
    place = _length if whole else _position_and_length
    placed = np.array([place(s) for s in stimuli], dtype=np.float64)
    spaces["length" if whole else "position+length"] = Space(placed if rows is None else rows @ placed)
    if subject.info.kind == "trained" and subject.token_table:
        spaces[f"{OWN}{subject.name}-mean"] = Space(read(subject.name, "tokens", "mean"))
        if not whole:
            spaces[f"{OWN}{subject.name}-context"] = Space(read(subject.name, "tokens", "context"))
    return spaces


def _counts(stimuli: list[Stimulus], rows: Float[np.ndarray, "m n"] | None) -> dict[str, Space]:
    asked: dict[str, tuple[str, tuple[int, int]]] = {
        "words:tfidf": ("word", (1, 1)),
        "words:tfidf-bigrams": ("word", (1, 2)),
        "words:tfidf-chars": ("char_wb", (3, 5)),
    }
    made = {name: _tfidf(stimuli, *how) for name, how in asked.items()}
    return {name: Space(x if rows is None else rotated(rows @ x), standardised=False) for name, x in made.items()}


def _tfidf(stimuli: list[Stimulus], analyzer: str, ngrams: tuple[int, int]) -> Float[np.ndarray, "n v"]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    own = {"tokenizer": words, "token_pattern": None, "lowercase": False} if analyzer == "word" else {}
    vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams, sublinear_tf=True, **own)
    return np.asarray(vectorizer.fit_transform([s.content for s in stimuli]).toarray(), dtype=np.float64)


def _length(stimulus: Stimulus) -> list[float]:
    return [len(words(stimulus.content)), len(stimulus.content)]


def _position_and_length(stimulus: Stimulus) -> list[float]:
    start, end = stimulus.span or (0, 0)
    before, total = len(words(stimulus.content[:start])), len(words(stimulus.content))
    return [before, total - before, before / max(total, 1), start, len(stimulus.content), end - start]
