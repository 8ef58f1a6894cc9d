"""`python -m zoo.sounds`: synthesise the clips, and write them with the sounds of the media block of soul.yaml."""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from conceptprobe.errors import ConceptprobeError
from conceptprobe.files import write_bytes, write_text
from zoo.media_block import replace_media
from zoo.sounds.clips import PAIRS, Clip, Pair, rendered
from zoo.sounds.matching import LOUDNESS, MOST_DB
from zoo.sounds.synthesis import RATE, SECONDS
from zoo.training.card import command_line

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int

LICENCE = "CC0-1.0"
FOLDER = "media/sounds"


def encoded(samples: Int[np.ndarray, " n"]) -> bytes:
    """A mono FLAC file: the same bytes for the same samples and libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def entries(pair: Pair, contents: Sequence[bytes]) -> Iterator[dict[str, str]]:
    """The two entries of a concept file's media block, the positive before its control."""
    for clip, content, label in zip((pair.positive, pair.control), contents, ("positive", "control"), strict=True):
        yield (
            _entry(clip, content)
            | {"label": label}
            | ({"sense": "essence"} if label == "positive" else {})
            | {"pair": pair.pair}
            | ({"group": pair.group} if pair.group else {})
        )


def _entry(clip: Clip, content: bytes) -> dict[str, str]:
    return {
        "id": f"snd-{clip.name}",
        "modality": "audio",
        "path": f"{FOLDER}/{clip.name}.flac",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": LICENCE,
        "caption": clip.caption,
    }


def write_all(out: Path) -> int:
    """Clips, the media block and the card; returns how many bytes the clips have."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"{clip.name}.flac" for pair in PAIRS for clip in (pair.positive, pair.control)}
    for old in folder.glob("*.flac"):
        if old.name not in names:
            old.unlink()
    listed: list[dict[str, str]] = []
    size = 0
    for pair in PAIRS:
        contents = [encoded(samples) for samples in rendered(pair)]
        for entry, content in zip(entries(pair, contents), contents, strict=True):
            write_bytes(out / entry["path"], content)
            listed.append(entry)
            size += len(content)
    path = out / "soul.yaml"
    write_text(path, replace_media(path.read_text("utf-8"), listed))
    return size


def card(size: int, argv: Sequence[str] | None) -> str:
    """README.md of the folder of sounds."""
    rows = "\n".join(
        f"| {p.pair} | {p.positive.name}: {p.positive.caption} | {p.control.name}: {p.control.caption} | {p.group} |"
        for p in PAIRS
    )
    groups = {p.group or p.pair for p in PAIRS}
    return f"""# Sound stimuli

{len(PAIRS)} pairs for soul in {len(groups)} groups, which are never split: {SECONDS:g} s each, mono, {RATE:,} Hz, 16 bits,
FLAC ({size / 1e6:.1f} MB). All are synthesised by `zoo/sounds` with NumPy and SciPy from seeded
generators; nothing was recorded. Licence: {LICENCE}.

| pair | evokes a soul | its control | group |
| --- | --- | --- | --- |
{rows}

A positive is what a person would accept as evocative of the concept: worship, breath, the heart, mourning, a voice from
nowhere. Its control is an everyday sound of the same acoustic family: chord with chord, struck metal with struck metal, thuds
with thuds, streaming air with streaming air. Both stand in the same room, have as many events or strokes, the same length
and the same loudness (root mean square {LOUDNESS:g} of full scale), and each octave of either was moved halfway to the
other's level, by {MOST_DB:g} dB at most. So loudness, length and the coarse spectrum tell the label about as well as chance.
Captions of both labels are alike in length.

What these clips cannot show: they are of one hand and one method, sketches that a listener names with the caption at hand, in
a culture of churches and hospitals. {len(PAIRS)} + {len(PAIRS)} are fewer than the 40 + 40 that a verdict asks for, so every
row on sounds reads `exploratory`. What holds for them need not hold for recordings.

Made by

    {command_line("zoo.sounds", argv)}

with NumPy {version("numpy")}, SciPy {version("scipy")} and libsndfile {soundfile.__libsndfile_version__}.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Write everything."""
    parser = argparse.ArgumentParser(prog="python -m zoo.sounds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "concepts", help="folder of soul.yaml")
    options = parser.parse_args(argv)
    size = write_all(options.out)
    write_text(options.out / FOLDER / "README.md", card(size, argv))
    print(f"{2 * len(PAIRS)} sounds, {size / 1e6:.2f} MB", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except ConceptprobeError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}" if error.hint else f"error: {error.message}")
