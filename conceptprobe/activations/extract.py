"""Stimuli x model -> Activations: what is cached is read, what is missing is computed in one pass of the model.

A call for which everything is cached imports no torch: the key of an entry needs hashes and version numbers only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.activations.store import Store, key_of, read_rows
from conceptprobe.errors import MissingError, UsageError, did_you_mean
from conceptprobe.models.api import FAMILY
from conceptprobe.models.base import Model, ModelSpec, Pooling
from conceptprobe.models.joint import one_tower
from conceptprobe.models.pooling import check_asked
from conceptprobe.models.sites import site_of
from conceptprobe.stimuli.stimulus import StimulusSet

if TYPE_CHECKING:
    from jaxtyping import Float

Progress = Callable[[int, int], None]
"""(stimuli done, stimuli in all)."""

Cell = tuple[str, Pooling]
"""(site, pooling)."""

_PACKAGE = Path(__file__).resolve().parents[1]
_EXTRACTOR = (
    "models/loading.py",
    "models/text.py",
    "models/framing.py",
    "models/offsets.py",
    "models/image.py",
    "models/audio.py",
    "models/audio_places.py",
    "models/vlm.py",
    "models/vlm_prompt.py",
    "models/families/base.py",
    "models/families/text.py",
    "models/families/image.py",
    "models/families/audio.py",
    "models/families/vlm.py",
    "models/hooks.py",
    "models/tokens.py",
    "models/processor.py",
    "models/features.py",
    "models/pooling.py",
    "models/batching.py",
    "models/words.py",
    "models/cooccurrence.py",
    "stimuli/words.py",
    "stimuli/pictures.py",
    "stimuli/sounds.py",
    "kernels/attention.py",
    "activations/extract.py",
)


_SERVED = ("models/api.py", "models/api_client.py")
"""Of a served model, whose rows cost money: nothing else changes what it is asked."""
_READERS = {"text": ("tokenizers",), "image": ("pillow",), "audio": ("soundfile", "scipy", "torchaudio")}
"""Modality -> the libraries that decide what of a stimulus reaches a model (transformers takes torchaudio's spectrograms
where it is installed)."""


class Activations(Mapping[str, "Float[np.ndarray, 'n d']"]):
    """One row per stimulus at each site, under one pooling: `activations["resid_post.3"]` is float32 [n, d].

    Rows are in the order of `ids`. Cached sites are read when they are asked for.
    """

    def __init__(
        self,
        ids: tuple[str, ...],
        pooling: Pooling,
        rows: Mapping[str, Path | Float[np.ndarray, "n d"]],
        provenance: Mapping[str, Any],
    ) -> None:
        self.ids = ids
        self.pooling = pooling
        self.sites = tuple(rows)
        self.provenance = provenance
        self._rows = rows

    def __getitem__(self, site: str) -> Float[np.ndarray, "n d"]:
        site = site_of(site)
        if site not in self._rows:
            raise UsageError(
                f"no activations at site '{site}'.{did_you_mean(site, self._rows)}",
                hint=f"there is {', '.join(self.sites)}",
            )
        found = self._rows[site]
        if isinstance(found, np.ndarray):
            return found
        try:
            return read_rows(found)
        except FileNotFoundError as error:
            raise MissingError(f"the cache entry {found} was removed while it was in use", hint="run again") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def __contains__(self, site: object) -> bool:
        return isinstance(site, str) and site_of(site) in self._rows


class LoadedModels:
    """Models kept in memory between calls of `extract`, by what they are; `release` lets them go."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}

    def get(self, spec: ModelSpec) -> Model:
        """The loaded model; loads it the first time."""
        if spec.info.sha256 not in self._models:
            self._models[spec.info.sha256] = spec.load()
        return self._models[spec.info.sha256]

    def release(self, spec: ModelSpec | None = None) -> None:
        """Forget one model, or all of them."""
        if spec is None:
            self._models.clear()
        else:
            self._models.pop(spec.info.sha256, None)


@dataclass(frozen=True)
class _Wanted:
    """The cells asked for, each with its key."""

    spec: ModelSpec
    stimuli: StimulusSet
    keys: dict[Cell, str]

    @classmethod
    def of(
        cls, spec: ModelSpec, stimuli: StimulusSet, sites: Sequence[str] | None, poolings: Sequence[Pooling]
    ) -> _Wanted:
        check_asked(one_tower(spec), stimuli.stimuli, poolings)
        asked = tuple(spec.sites if sites is None else map(site_of, sites))
        _check_sites(spec, asked)
        decides = provenance(spec, stimuli)["decides"]
        return cls(spec, stimuli, {(s, p): _key(decides, s, p) for s in asked for p in poolings})


def extract(
    spec: ModelSpec,
    stimuli: StimulusSet,
    sites: Sequence[str] | None = None,
    poolings: Sequence[Pooling] = ("concept_span",),
    *,
    store: Store | None = None,
    models: LoadedModels | None = None,
    progress: Progress | None = None,
    batch_tokens: int | None = None,
) -> dict[Pooling, Activations]:
    """Activations of every stimulus at every site (default: all of the model's), one `Activations` per pooling.

    Sites may be called by TransformerLens' hook points. With a `store`, cached cells are read and missing ones are written;
    without, all is computed and kept in memory.
    `models` keeps the model loaded for the next set. Raises UsageError for an unknown site or pooling, a stimulus of
    another modality or without the span a pooling needs, too long a text, a joint model (its towers are asked one by
    one), or a cache that cannot be written; PictureError for a picture that is gone, changed or cannot be read.
    """
    wanted = _Wanted.of(spec, stimuli, sites, poolings)
    found: dict[Cell, Path | Float[np.ndarray, "n d"]] = {}
    if store is not None:
        # Under every pooling `pooled` is one entry: it is looked up once.
        paths = {key: store.get(key, len(stimuli)) for key in dict.fromkeys(wanted.keys.values())}
        found = {cell: path for cell, key in wanted.keys.items() if (path := paths[key]) is not None}
    missing = [cell for cell in wanted.keys if cell not in found]
    if missing:
        if store is not None:
            store.check_writable()
        model = (models or LoadedModels()).get(spec)
        if batch_tokens is not None and hasattr(model, "batch_tokens"):
            model.batch_tokens = batch_tokens
        computed = _compute(model, stimuli, missing, progress)
        cut = int(getattr(model, "cut", 0))
        found.update(computed if store is None else _keep(store, wanted, computed, cut))
    elif progress is not None:
        progress(len(stimuli), len(stimuli))
    asked = dict.fromkeys(site for site, _ in wanted.keys)
    about = provenance(spec, stimuli)
    return {p: Activations(stimuli.ids, p, {s: found[s, p] for s in asked}, about) for p in poolings}


def missing_cells(
    spec: ModelSpec,
    stimuli: StimulusSet,
    sites: Sequence[str] | None = None,
    poolings: Sequence[Pooling] = ("concept_span",),
    *,
    store: Store,
) -> list[Cell]:
    """The (site, pooling) cells that `extract` would have to compute. Looks at headers only; loads nothing."""
    wanted = _Wanted.of(spec, stimuli, sites, poolings)
    return [cell for cell, key in wanted.keys.items() if not store.has(key, len(stimuli))]


def texts_cut(spec: ModelSpec, stimuli: StimulusSet, site: str, pooling: Pooling, *, store: Store) -> int:
    """How many of these stimuli were cut to the length the model takes, when this cell of the cache was made."""
    return int(store.about(cell_key(spec, stimuli, site, pooling)).get("cut", 0))


def cell_key(spec: ModelSpec, stimuli: StimulusSet, site: str, pooling: Pooling) -> str:
    """Key of one cell in the cache: everything that decides its numbers, and nothing else."""
    return _key(provenance(spec, stimuli)["decides"], site, pooling)


def provenance(spec: ModelSpec, stimuli: StimulusSet) -> dict[str, Any]:
    """Where activations come from; what stands under `decides` enters the key."""
    served = spec.info.family == FAMILY
    bare = served or spec.info.family in ("tfidf", "cooccurrence")
    modalities = (*spec.info.modalities, *getattr(spec, "also_reads", ()))
    readers = (library for modality in modalities for library in _READERS.get(modality, ()))
    libraries = () if bare else ("torch", "transformers", *readers)
    versions = {library: _version(library) for library in libraries}
    return {
        "model": spec.info.name,
        "info": asdict(spec.info),
        "set": stimuli.name,
        "n": len(stimuli),
        "decides": {
            "model_sha256": spec.info.sha256,
            "stimuli": stimuli.fingerprint,
            "dtype": spec.info.dtype,
            "extractor": extractor_version(_SERVED if served else _EXTRACTOR),
            "versions": versions,
        },
    }


def _key(decides: Mapping[str, Any], site: str, pooling: Pooling) -> str:
    own = site == "pooled"  # the model's own pooling, whatever was asked for
    return key_of({**decides, "site": site, "pooling": "own" if own else pooling})


@cache
def extractor_version(sources: tuple[str, ...] = _EXTRACTOR) -> str:
    """sha256 of the source files that turn stimuli into numbers: it changes whenever they do."""
    digest = hashlib.sha256()
    for name in sources:
        path = _PACKAGE / name
        digest.update(f"{name}\n".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def _compute(
    model: Model, stimuli: StimulusSet, cells: Sequence[Cell], progress: Progress | None
) -> dict[Cell, Float[np.ndarray, "n d"]]:
    """All cells in one pass; rows in the order of the stimuli."""
    sites = list(dict.fromkeys(site for site, _ in cells))
    poolings = list(dict.fromkeys(pooling for _, pooling in cells))
    rows: dict[Cell, Float[np.ndarray, "n d"]] = {}
    done = 0
    if progress is not None:
        progress(0, len(stimuli))
    for numbers, batch in model.activations(stimuli.stimuli, sites, poolings):
        for cell in cells:
            if cell not in rows:
                rows[cell] = np.empty((len(stimuli), batch[cell].shape[1]), dtype=np.float32)
            rows[cell][numbers] = batch[cell]
        done += len(numbers)
        if progress is not None:
            progress(done, len(stimuli))
    return rows


def _keep(
    store: Store, wanted: _Wanted, computed: Mapping[Cell, Float[np.ndarray, "n d"]], cut: int
) -> dict[Cell, Path]:
    about = provenance(wanted.spec, wanted.stimuli) | {"cut": cut}
    written: dict[str, Path] = {}
    for (site, pooling), rows in computed.items():
        key = wanted.keys[site, pooling]
        if key not in written:
            written[key] = store.put(key, rows, {**about, "site": site, "pooling": pooling, "shape": list(rows.shape)})
    return {cell: written[wanted.keys[cell]] for cell in computed}


def _check_sites(spec: ModelSpec, sites: Sequence[str]) -> None:
    known = (*spec.sites, *getattr(spec, "extra_sites", ()))
    for site in sites:
        if site not in known:
            raise UsageError(
                f"'{spec.info.name}' has no site '{site}'.{did_you_mean(site, known)}",
                hint=f"it has {', '.join(known)}",
            )
    if not sites:
        raise UsageError("no site was named", hint=f"'{spec.info.name}' has {', '.join(known)}")


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
