"""What a model is shown when it is proved: short neutral texts of several lengths, each with a span; drawn pictures; chords."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from conceptprobe.stimuli.spans import find_span
from conceptprobe.stimuli.stimulus import Stimulus

_TEXTS = (
    ("The river", "river"),
    ("A small hammer.", "hammer"),
    ("winter light", "light"),
    ("His patience was quiet.", "patience"),
    ("The house, again.", "house"),
    ("All that anyone mentioned was the letter.", "letter"),
    ("In winter the river was quiet, and the light was small.", "river"),
    ("Soup is served in the garden house behind the old railway station.", "garden house"),
    ("Nobody who had seen the bridge before the flood believed that it would stand for another year.", "bridge"),
    (
        "She wrote a letter about the weather, the price of bread, two neighbours and a broken clock, and never sent it"
        " because the post office had closed for the winter.",
        "clock",
    ),
)
_SIZES = ((48, 48), (64, 40), (40, 72), (97, 61), (128, 128), (33, 150))
_SECONDS, _RATE = (0.5, 0.21, 0.97, 0.5, 0.73), 16_000


def texts(_: Path) -> list[Stimulus]:
    """Two to thirty words, so that a batch of them is mostly padding."""
    return [
        Stimulus(f"text{i}", "", "", "positive", "text", text, span=find_span(text, word)[0])
        for i, (text, word) in enumerate(_TEXTS)
    ]


def pictures(folder: Path) -> list[Stimulus]:
    """Soft blobs of colour with an edge across them, of every shape, as PNG files in `folder`."""
    import numpy as np
    from PIL import Image, ImageDraw

    made = []
    for i, (width, height) in enumerate(_SIZES):
        coarse = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        ImageDraw.Draw(picture).line((0, i * 5, width, height - i * 3), fill=(20 * i, 200, 40), width=3)
        path = folder / f"picture{i}.png"
        picture.save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append(Stimulus(f"picture{i}", "", "", "positive", "image", digest, file=str(path)))
    return made


def sounds(folder: Path) -> list[Stimulus]:
    """Chords that fade, a fifth of a second to one long, as WAV files in `folder`; two of one length make a batch."""
    import numpy as np
    import soundfile

    made = []
    for i, seconds in enumerate(_SECONDS):
        t = np.arange(int(seconds * _RATE)) / _RATE
        tones = [np.sin(2 * np.pi * (110 + 55 * i) * step * t) for step in (1.0, 1.26, 1.5)]
        samples = 0.2 * np.sum(tones, axis=0) * np.exp(-t * i) + 0.02 * np.random.default_rng(i).standard_normal(len(t))
        path = folder / f"sound{i}.wav"
        soundfile.write(path, samples.astype(np.float32), _RATE, subtype="FLOAT")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append(Stimulus(f"sound{i}", "", "", "positive", "audio", digest, file=str(path)))
    return made


SHOWN: dict[str, Callable[[Path], list[Stimulus]]] = {"text": texts, "image": pictures, "audio": sounds}
"""Modality -> stimuli made for it; files go to the folder."""
