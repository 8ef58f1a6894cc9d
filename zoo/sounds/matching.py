"""Two clips of a pair made alike in all that is not the point: length, loudness, and how loud each octave is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zoo.sounds.synthesis import RATE, SAMPLES

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Wave = Float[np.ndarray, " n"]

OCTAVES = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)
"""Hertz: centres of the bands."""
LOUDNESS = 0.05
"""Root mean square of every clip; full scale is 1."""
MOST_DB = 9.0
"""What an octave of either clip is raised or lowered at most: beyond it, what is heard would be the equaliser."""
LOWEST = 35.0
"""Hertz. Nothing below is kept: no offset, no rumble."""
_FLOOR = 1e-12
_ROUNDS = 3
_EDGE = int(0.02 * RATE)


def matched(positive: Wave, control: Wave) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Both as 16-bit samples. Each octave is taken halfway to the other's level, within MOST_DB, and the loudness set."""
    pair = [positive, control]
    for _ in range(_ROUNDS):  # bands overlap, so that one step does not arrive
        levels = [octave_levels(wave) for wave in pair]
        halfway = (levels[0] + levels[1]) / 2
        pair = [
            _equalised(wave, np.clip((halfway - own) / 1.5, -MOST_DB / _ROUNDS, MOST_DB / _ROUNDS))
            for wave, own in zip(pair, levels, strict=True)
        ]
    one, other = (_sixteen_bits(wave) for wave in pair)
    return one, other


def octave_levels(wave: Wave) -> Float[np.ndarray, " octaves"]:
    """dB of each octave, relative to the whole."""
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE)
    power = np.abs(np.fft.rfft(wave)) ** 2
    bands = [power[(frequency >= f / 2**0.5) & (frequency < f * 2**0.5)].sum() for f in OCTAVES]
    return 10 * np.log10(np.array(bands) / power.sum() + _FLOOR)


def _equalised(wave: Wave, gain_db: Float[np.ndarray, " octaves"]) -> Wave:
    frequency = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    between = np.interp(np.log2(np.maximum(frequency, 1.0)), np.log2(OCTAVES), gain_db)
    return np.fft.irfft(np.fft.rfft(wave) * 10 ** (between / 20), SAMPLES)


def _sixteen_bits(wave: Wave) -> Int[np.ndarray, " n"]:
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(SAMPLES, 1 / RATE) < LOWEST] = 0
    wave = np.fft.irfft(spectrum, SAMPLES)
    ramp = np.ones(SAMPLES)
    ramp[:_EDGE] = np.linspace(0, 1, _EDGE)
    ramp[-_EDGE:] = np.linspace(1, 0, _EDGE)
    wave = wave * ramp
    wave *= LOUDNESS / np.sqrt((wave**2).mean())
    if (peak := float(np.abs(wave).max())) >= 1:
        raise ValueError(f"a peak of {peak:.2f}: the clip is too spiky for the loudness of all")
    return np.round(wave * 32_767).astype(np.int16)
