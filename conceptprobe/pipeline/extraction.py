"""`conceptprobe extract`: activations of one model on a concept's sets, or on a file of texts, as files of one's own.

A set gives two files that `conceptprobe probe` and `align` read: SET.POOLING.safetensors, one array [n d] per site, and
SET.csv, which says of each row what it was and what it belongs to. Cached cells are read, not computed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conceptprobe.activations import Activations, LoadedModels, Store, extract
from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.files import finite, replacing, write_text
from conceptprobe.models import resolve, towers
from conceptprobe.models.base import ModelSpec, Pooling
from conceptprobe.models.options import DEFAULT, Options
from conceptprobe.pipeline.progress import Reporter
from conceptprobe.stimuli import expand, expand_background, expand_background_media, load_either
from conceptprobe.stimuli.schema import Background
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet

TEXTS = ".txt"
LARGEST_LINE = 100_000
_GROUPS = ("unit", "term", "template", "tier", "group", "word", "category", "of")


@dataclass(frozen=True)
class Written:
    """One set of one model (of a joint one, one tower) under one pooling, on disk."""

    model: str
    modality: str
    set_name: str
    pooling: str
    n: int
    widths: Mapping[str, int]
    """Site -> d."""
    file: Path
    labels: Path


def extract_to(
    out: Path,
    stimuli: str,
    model: str,
    *,
    sets: Sequence[str] = (),
    sites: Sequence[str] = (),
    poolings: Sequence[Pooling] = (),
    options: Options = DEFAULT,
    download: bool = True,
    store: Store | None = None,
    reporter: Reporter,
) -> list[Written]:
    """Write what `model` makes of `stimuli`: a concept file, a pool, a bare name, or a .txt file of one text per line.

    `sets`: of a concept file, some of its sets (default: all that the model reads). `sites`: default all of the model's.
    `poolings`: default the span where all stimuli of a set have one and the model offers it, else mean. Raises what
    `resolve`, `load_concept` and `extract` raise, and UsageError for a set that is not there or that the model cannot
    read.
    """
    specs = towers(resolve(model, download=download, options=options))
    asked = _asked(read_sets(stimuli), sets)
    _check_read(model, specs, asked, chosen=bool(sets))
    models = LoadedModels()
    done: list[Written] = []
    unread: UsageError | None = None
    for spec in specs:
        for stimulus_set in (s for s in asked if _reads(spec, s)):
            wanted = poolings or (_usual(spec, stimulus_set),)
            try:
                with reporter.task(f"{spec.info.name} on {stimulus_set.name}") as advance:
                    found = extract(
                        spec, stimulus_set, sites or None, wanted, store=store, models=models, progress=advance
                    )
            except UsageError as error:
                if sets:
                    raise
                # Nobody named this set: the others are still worth having.
                unread = error
                reporter.message(f"{spec.info.name} on {stimulus_set.name}: left out: {error}")
                continue
            done += _write(out, spec, stimulus_set, found)
        models.release()
    if unread is not None and not done:
        raise unread
    return done


def read_sets(stimuli: str) -> dict[str, StimulusSet]:
    """Set name -> stimuli of a concept, a pool, or a .txt file (one set named after the file)."""
    path = Path(stimuli)
    if path.suffix.lower() == TEXTS:
        return {path.stem: _texts(path)}
    content = load_either(stimuli)
    if isinstance(content, Background):
        return {"background": expand_background(content), **expand_background_media(content)}
    return dict(expand(content))


def _texts(path: Path) -> StimulusSet:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path} cannot be read: {why}", hint="one text per line, in UTF-8") from error
    long = next((i for i, line in enumerate(lines, 1) if len(line) > LARGEST_LINE), None)
    if long is not None:
        raise UsageError(f"{path}:{long}: a text of more than {LARGEST_LINE:,} characters", hint="cut it into texts")
    texts = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip()]
    if not texts:
        raise UsageError(f"{path} holds no text", hint="one text per line")
    return StimulusSet(
        path.stem,
        tuple(Stimulus(f"{path.stem}/{i}", path.stem, "", "background", "text", text) for i, text in texts),
    )


def _asked(found: Mapping[str, StimulusSet], names: Sequence[str]) -> list[StimulusSet]:
    for name in names:
        if name not in found:
            raise UsageError(f"no set named '{name}'.{did_you_mean(name, found)}", hint=f"there is {', '.join(found)}")
    return [stimuli for name, stimuli in found.items() if not names or name in names]


def _check_read(model: str, specs: Sequence[ModelSpec], asked: Sequence[StimulusSet], *, chosen: bool) -> None:
    """Of sets that were named every one must be read; of all sets, one at least."""
    unread = [s.name for s in asked if not any(_reads(spec, s) for spec in specs)]
    if unread and (chosen or len(unread) == len(asked)):
        reads = ", ".join(spec.info.modalities[0] for spec in specs)
        raise UsageError(f"'{model}' reads {reads}, which is not what '{unread[0]}' holds", hint="name other sets")


def _reads(spec: ModelSpec, stimuli: StimulusSet) -> bool:
    return all(s.modality in spec.info.modalities for s in stimuli)


def _usual(spec: ModelSpec, stimuli: StimulusSet) -> Pooling:
    spans = all(s.span is not None for s in stimuli) and "concept_span" in spec.poolings
    return "concept_span" if spans else "mean" if "mean" in spec.poolings else spec.poolings[0]


def _write(out: Path, spec: ModelSpec, stimuli: StimulusSet, found: Mapping[Pooling, Activations]) -> Iterator[Written]:
    from safetensors.numpy import save_file

    folder = out / _as_folder(spec.info.name)
    labels = folder / f"{stimuli.name}.csv"
    write_text(labels, _table(stimuli))
    for pooling, rows in found.items():
        file = folder / f"{stimuli.name}.{pooling}.safetensors"
        about = {"about": json.dumps(finite({**rows.provenance, "pooling": pooling}))}
        arrays = {site: rows[site].copy() for site in rows}
        with replacing(file) as temporary:
            save_file(arrays, temporary, metadata=about)
        widths = {site: array.shape[1] for site, array in arrays.items()}
        yield Written(
            spec.info.name, spec.info.modalities[0], stimuli.name, pooling, len(stimuli), widths, file, labels
        )


def _as_folder(name: str) -> str:
    """A model's name as one folder name: a path keeps its last part."""
    kept = name if not name.startswith(("/", ".", "~")) else Path(name).name
    return "".join(c if c.isalnum() or c in "-_.@#" else "-" for c in kept)


def _table(stimuli: StimulusSet) -> str:
    """One line per row of the arrays, in their order; columns that are empty throughout are left out."""
    rows = [
        {
            "id": s.id,
            "label": str(s.label),
            "role": s.role,
            "sense": s.sense,
            "pair": s.pair,
            **{kind: s.group(kind) for kind in _GROUPS},
            "lang": s.lang,
            "content": s.content,
            "file": s.file,
        }
        for s in stimuli
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
