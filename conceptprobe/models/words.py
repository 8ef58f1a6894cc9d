"""Static models: one vector per word, whatever stands around it. The baselines that `beyond_words` must beat.

`words:cooccurrence` averages PPMI + SVD vectors of public-domain books; `words:tfidf` counts the words of the stimuli
it is given. Both have the one site `embed` and pool over words as a transformer pools over tokens, but for `cls`: a bag
of words has no first position that stands for the whole, so there `cls` is the mean. The same words give the same row,
bit for bit, in any order. `words:cooccurrence` has a site `proxies`, too: how pleasant, how concrete and how frequent the
words are, as far as the vectors tell; a probe that reads no more than these has not found a concept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.models.base import POOLINGS, ModelInfo, Pooling
from conceptprobe.models.hashing import combined, files_sha256
from conceptprobe.stimuli.words import words

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from conceptprobe.models.cooccurrence import CooccurrenceVectors
    from conceptprobe.stimuli.stimulus import Stimulus

BOOKS = ("data:classic-books-a", "data:classic-books-b")
"""Both halves of the shelf that the language models of the zoo divide."""
BATCH_ROWS = 512


class Table(Protocol):
    """What a static model needs: one vector for a bag of words."""

    def mean(self, words: Sequence[str], /) -> Float[np.ndarray, " d"]:
        """The vector of these words, float32; zeros when none of them is known."""
        ...


@dataclass(frozen=True)
class WordsSpec:
    """`words:cooccurrence`, its random twin (`seed` is not None), or `words:tfidf`."""

    info: ModelInfo
    sites: tuple[str, ...] = ("embed",)
    seed: int | None = None

    poolings: ClassVar[tuple[Pooling, ...]] = POOLINGS

    @property
    def extra_sites(self) -> tuple[str, ...]:
        """`proxies` where there are trained vectors."""
        return ("proxies",) if self.info.family == "cooccurrence" and self.seed is None else ()

    def load(self) -> WordsModel:
        """The vectors in memory; imports no torch."""
        if self.info.family == "tfidf":
            return WordsModel(self.info, None)
        from conceptprobe.models.cooccurrence import CooccurrenceVectors

        known = CooccurrenceVectors.load()
        if self.seed is not None:
            import numpy as np

            drawn = np.random.default_rng(self.seed).standard_normal(known.vectors.shape).astype(np.float32)
            known = replace(known, vectors=drawn)
        return WordsModel(self.info, known)

    def twin(self, seed: int) -> WordsSpec:
        """The same vocabulary with Gaussian vectors; a tf-idf has nothing that was trained, so it has no twin."""
        if self.info.family == "tfidf" or self.seed is not None:
            raise UsageError(f"'{self.info.name}' has no random twin", hint="only what was trained has one")
        info = replace(
            self.info,
            name=f"random:{self.info.name}#{seed}",
            sha256=combined({"vectors": self.info.sha256, "seed": str(seed)}),
            revision=f"seed {seed}",
            lineage=(),
            kind="twin",
        )
        return replace(self, info=info, seed=seed)


def words_spec(name: str) -> WordsSpec:
    """Spec of `words:cooccurrence` or `words:tfidf`; MissingError when the vectors are not in this installation."""
    if name == "words:tfidf":
        return WordsSpec(_info(name, "tfidf", "fitted on the stimuli", combined({"model": name}), 0, 0, ()))
    from conceptprobe.models.cooccurrence import FILES, FOLDER
    from conceptprobe.models.formats import tensor_shapes

    absent = next((f for f in FILES if not (FOLDER / f).is_file()), None)
    if absent is not None:
        raise MissingError(
            f"words:cooccurrence is not in this installation: {FOLDER / absent} is not there",
            hint="reinstall conceptprobe, or make the vectors again with zoo/cooccurrence.py",
        )
    sha256 = combined({path.name: digest for path, digest in files_sha256(FOLDER / f for f in FILES).items()})
    rows, width = tensor_shapes(FOLDER / FILES[0])["vectors"]
    return WordsSpec(_info(name, "cooccurrence", "zoo/cooccurrence.py", sha256, width, rows * width, BOOKS))


class WordsModel:
    """A loaded static model. `table` is None for tf-idf, which is fitted on the stimuli it is given."""

    sites: tuple[str, ...] = ("embed",)
    poolings: tuple[Pooling, ...] = POOLINGS

    def __init__(self, info: ModelInfo, table: Table | None) -> None:
        self.info = info
        self.table = table

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], dict[tuple[str, Pooling], Float[np.ndarray, "b d"]]]]:
        """Batches of (row numbers, {(site, pooling): rows}); see the contract in base.py.

        A text none of whose words is known gets a row of zeros.
        """
        import numpy as np

        from conceptprobe.models.cooccurrence import CooccurrenceVectors
        from conceptprobe.models.pooling import check_asked

        check_asked(self, stimuli, poolings)
        bags = [_bags(s) for s in stimuli]
        table = self.table or TfIdf([b["mean"] for b in bags])
        tables: dict[str, Table] = {"embed": table}
        if "proxies" in sites and isinstance(table, CooccurrenceVectors):
            tables["proxies"] = Proxies(table)
        for start in range(0, len(bags), BATCH_ROWS):
            numbers = list(range(start, min(start + BATCH_ROWS, len(bags))))
            rows: dict[tuple[str, Pooling], Float[np.ndarray, "b d"]] = {
                (site, p): np.stack([tables[site].mean(bags[n][p]) for n in numbers])
                for site in sites
                for p in poolings
            }
            yield numbers, rows


SEEDS: dict[str, tuple[str, str]] = {
    "pleasant": (
        "good nice excellent positive fortunate correct superior",
        "bad nasty poor negative unfortunate wrong inferior",
    ),
    "concrete": ("table stone horse bread knife door tree", "truth reason virtue notion opinion justice doctrine"),
}
"""Axis -> its two ends. The ends of `pleasant` are those of Turney & Littman (2003)."""


class Proxies:
    """[pleasant, concrete, frequent] of a bag of words: cosines with two semantic axes, and the log frequency.

    An axis is the difference between the mean unit vectors of its ends (SemAxis: An, Kwak & Ahn 2018).
    """

    def __init__(self, vectors: CooccurrenceVectors) -> None:
        """Raises UsageError where a seed word has no vector."""
        import numpy as np

        self.vectors = vectors
        ends = {axis: [self._end(words) for words in pair] for axis, pair in SEEDS.items()}
        axes = np.stack([high - low for high, low in ends.values()])
        self.axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)

    def _end(self, seeds: str) -> Float[np.ndarray, " d"]:
        import numpy as np

        rows = [row for row in map(self.vectors.row, seeds.split()) if row is not None]
        if len(rows) < len(seeds.split()):
            raise UsageError(f"not every seed word has a vector: {seeds}", hint="use the packaged vectors")
        unit = self.vectors.vectors[rows]
        mean: Float[np.ndarray, " d"] = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).mean(axis=0)
        return mean

    def mean(self, words: Sequence[str], /) -> Float[np.ndarray, " 3"]:
        """The three numbers, float32; zeros when none of the words is known."""
        import numpy as np

        rows = sorted(row for row in map(self.vectors.row, words) if row is not None)
        if not rows:
            return np.zeros(len(self.axes) + 1, dtype=np.float32)
        unit = self.vectors.vectors[rows].astype(np.float64)
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
        frequency = np.log10(self.vectors.counts[rows] * 1e9 / self.vectors.config["tokens"])
        return np.append((unit @ self.axes.T).mean(axis=0), frequency.mean()).astype(np.float32)


class TfIdf:
    """tf-idf rows of length 1; idf = ln((1 + n)/(1 + df)) + 1 (Salton & Buckley 1988, as scikit-learn smooths it)."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        """Fit on documents given as words; columns are the words in alphabetical order."""
        import numpy as np

        self.column = {w: i for i, w in enumerate(sorted({w for d in documents for w in d}))}
        df = np.zeros(len(self.column))
        for document in documents:
            df[[self.column[w] for w in set(document)]] += 1
        self.idf = np.log((1 + len(documents)) / (1 + df)) + 1

    def mean(self, words: Sequence[str], /) -> Float[np.ndarray, " v"]:
        """The row of a bag of words; zeros for an empty one."""
        import numpy as np

        counts = np.bincount([self.column[w] for w in words if w in self.column], minlength=len(self.column))
        row = counts * self.idf
        return (row / max(float(np.linalg.norm(row)), 1e-12)).astype(np.float32)


def _bags(stimulus: Stimulus) -> dict[Pooling, list[str]]:
    """The words each pooling pools. A span inside a word ("soul" in "soulful") stands for the whole word."""
    text = stimulus.content
    start, end = stimulus.span or (len(text), len(text))
    while 0 < start < len(text) and _IN_WORD.fullmatch(text[start - 1 : start + 1]):
        start -= 1
    while 0 < end < len(text) and _IN_WORD.fullmatch(text[end - 1 : end + 1]):
        end += 1
    before, inside, after = words(text[:start]), words(text[start:end]), words(text[end:])
    whole = [*before, *inside, *after]
    return {"concept_span": inside, "context": [*before, *after], "last": whole[-1:], "mean": whole, "cls": whole}


_IN_WORD = re.compile(r"([^\W\d_]|['\u2019]){2}")


def _info(
    name: str, kind: str, source: str, sha256: str, width: int, n_params: int, lineage: tuple[str, ...]
) -> ModelInfo:
    return ModelInfo(
        name=name,
        source=source,
        revision=sha256[:12],
        sha256=sha256,
        family=kind,
        modalities=("text",),
        n_layers=0,
        d_model=width,
        n_params=n_params,
        dtype="float32",
        lineage=lineage,
        kind="static",
    )
