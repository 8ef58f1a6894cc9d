"""Reader of the word vectors `words:cooccurrence`, which zoo/cooccurrence.py makes; numpy and safetensors only.

The vectors are positive PMI counts of public-domain books factored by an SVD (Levy, Goldberg & Dagan 2015): what a
concept owes to word statistics alone. Files are checked against their hashes before a number is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from conceptprobe.errors import CorruptError, MissingError, UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FOLDER = Path(__file__).parent / "zoo" / "cooccurrence"
FILES = ("vectors.safetensors", "vocab.txt", "config.json")
"""The files under hash, in the order they are written; sha256.json holds the hashes and comes last."""

_HINT = "reinstall conceptprobe, or make the vectors again with zoo/cooccurrence.py"


def normalise(word: str) -> str:
    """A word as the vocabulary spells it: case folded, apostrophe plain, possessive 's dropped.

    Same rules as `conceptprobe.stimuli.words`, whose `words` cut the training text.
    """
    return word.casefold().replace("\u2019", "'").removesuffix("'s")


@dataclass(frozen=True, eq=False)
class CooccurrenceVectors:
    """One vector per word form; rows of `vectors`, `counts` and `words` belong together."""

    vectors: Float[np.ndarray, "v d"]
    """float32; the mean row has norm 1, and function words and rare words have shorter rows than those between."""
    words: tuple[str, ...]
    """Row -> word, the most frequent first."""
    index: dict[str, int]
    """Word -> row."""
    counts: Int[np.ndarray, " v"]
    """Occurrences in the training text."""
    config: Mapping[str, Any]
    """Hyper-parameters, and `tokens`, the length of the training text in words."""

    @classmethod
    def load(cls, folder: Path | None = None) -> CooccurrenceVectors:
        """Read a folder (default: the packaged one).

        Raises MissingError where a file is not there, CorruptError where one is not what its hash says.
        """
        folder = FOLDER if folder is None else folder
        content = _read_checked(folder)
        try:
            tensors = load_safetensors(content["vectors.safetensors"])
            vectors, counts = tensors["vectors"].astype(np.float32), tensors["counts"]
            words = tuple(content["vocab.txt"].decode().split("\n")[:-1])
            config = json.loads(content["config.json"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise CorruptError(f"cannot read the word vectors in {folder}: {error}", hint=_HINT) from error
        index = {word: row for row, word in enumerate(words)}
        if not len(index) == len(words) == len(vectors) == len(counts) or vectors.ndim != 2:
            raise CorruptError(f"words and vectors in {folder} do not belong together", hint=_HINT)
        vectors.flags.writeable = False
        return cls(vectors, words, index, counts, config)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def row(self, word: str) -> int | None:
        """Row of a word in any case, with or without a possessive 's; None when it is not in the vocabulary."""
        return self.index.get(normalise(word))

    def coverage(self, words: Sequence[str]) -> float:
        """Share of the words, repetitions counted, that have a vector; 0 for no words."""
        return len(self._rows(words)) / len(words) if words else 0.0

    def mean(self, words: Sequence[str]) -> Float[np.ndarray, " d"]:
        """Mean vector of the words that have one, repetitions counted; zeros when none has (see `coverage`)."""
        rows = self._rows(words)
        if not rows:
            return np.zeros(self.dim, dtype=np.float32)
        # sorted, so that the sum, and with it every bit of the mean, is the same for the same words in any order
        mean: Float[np.ndarray, " d"] = self.vectors[np.sort(rows)].mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def nearest(self, word: str, k: int, exclude: Iterable[str] = ()) -> list[tuple[str, float]]:
        """The k words with the highest cosine to a word, nearest first; neither itself nor those in `exclude`.

        Raises UsageError for a word outside the vocabulary.
        """
        row = self.row(word)
        if row is None:
            raise UsageError(
                f"no co-occurrence vector for '{word}'.{did_you_mean(normalise(word), self.words)}",
                hint=f"the vocabulary holds {len(self.words):,} words of old books",
            )
        cosines = self._unit @ self._unit[row]
        cosines[[row, *self._rows(exclude)]] = -np.inf
        order = np.argsort(-cosines, kind="stable")[: max(k, 0)]
        return [(self.words[i], float(cosines[i])) for i in order if np.isfinite(cosines[i])]

    def _rows(self, words: Iterable[str]) -> list[int]:
        return [row for row in map(self.row, words) if row is not None]

    @cached_property
    def _unit(self) -> Float[np.ndarray, "v d"]:
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return self.vectors / np.where(norms > 0, norms, 1.0)


def _read_checked(folder: Path) -> dict[str, bytes]:
    """Content of FILES, each equal to its hash in sha256.json."""
    content: dict[str, bytes] = {}
    for name in ("sha256.json", *FILES):
        try:
            content[name] = (folder / name).read_bytes()
        except OSError as error:
            raise MissingError(f"no readable {name} in {folder}", hint=_HINT) from error
    try:
        hashes = json.loads(content["sha256.json"])
    except ValueError as error:
        raise CorruptError(f"{folder / 'sha256.json'} is not JSON", hint=_HINT) from error
    for name in FILES:
        if not isinstance(hashes, dict) or hashes.get(name) != sha256(content[name]).hexdigest():
            raise CorruptError(f"{folder / name} is not the file its sha256 names", hint=_HINT)
    return content
