"""Building blocks of the clips: voices, strokes, noises and rooms, each a plain sum of sines or shaped noise.

Everything is an array of SAMPLES float64 values at RATE Hz. Whatever is drawn comes from the generator that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import fftconvolve

if TYPE_CHECKING:
    from jaxtyping import Float

    Wave = Float[np.ndarray, " n"]

RATE = 16_000
SECONDS = 3.0
SAMPLES = int(RATE * SECONDS)
T: Wave = np.arange(SAMPLES) / RATE
"""Seconds of every sample."""
TOP = 7_200.0
"""Hertz. Partials above are left out, so that nothing folds back at half the rate."""

Formants = Sequence[tuple[float, float, float]]
"""(frequency in Hz, bandwidth in Hz, level in dB) of the resonances of a mouth, a pipe or a casing."""
AH: Formants = ((800, 80, 0), (1150, 90, -6), (2900, 120, -22), (3900, 130, -24), (4950, 140, -40))
OH: Formants = ((450, 70, 0), (800, 80, -9), (2830, 100, -24), (3800, 130, -28), (4950, 135, -45))
OO: Formants = ((325, 50, 0), (700, 60, -14), (2700, 170, -30), (3800, 180, -36))
MM: Formants = ((260, 60, 0), (1000, 150, -22), (2200, 200, -32))
"""Vowels after the usual tables of sung vowels; the last is a closed mouth."""


def resonance(frequency: Wave, formants: Formants) -> Wave:
    """Gain at each frequency: the formants' Lorentzian peaks, added up."""
    return sum(
        (10 ** (level / 20) / (1 + ((frequency - centre) / width) ** 2) for centre, width, level in formants),
        start=np.zeros_like(frequency),
    )


def harmonics(f0: Wave | float, gain: Callable[[Wave], Wave], phase: float = 0.0) -> Wave:
    """All harmonics of a fundamental that may move; `gain` is asked at the frequency that each of them has just then."""
    moving = np.broadcast_to(np.asarray(f0, float), T.shape)
    angle = 2 * np.pi * np.cumsum(moving) / RATE + phase
    out = np.zeros(SAMPLES)
    for k in range(1, int(TOP / moving.min()) + 1):
        frequency = k * moving
        out += np.where(frequency < TOP, gain(frequency), 0.0) * np.sin(k * angle)
    return out


def voice(rng: np.random.Generator, f0: Wave | float, formants: Formants, *, vibrato: float = 0.012) -> Wave:
    """One singer: vibrato and a slow drift of the pitch, a source that falls with frequency, a mouth."""
    rate, phase = rng.uniform(4.8, 6.2), rng.uniform(0, 2 * np.pi)
    wobble = vibrato * np.sin(2 * np.pi * rate * T + phase) + 0.004 * slow(rng, 2.0)
    moving = f0 * (1 + wobble)
    return harmonics(moving, lambda f: resonance(f, formants) * (200 / (f + 100)) ** 0.5, rng.uniform(0, 2 * np.pi))


def horn(rng: np.random.Generator, f0: Wave | float, steepness: float = 1.0) -> Wave:
    """A tone of a machine: steady, rich in harmonics."""
    return harmonics(f0, lambda f: (f / 200 + 1) ** -steepness, rng.uniform(0, 2 * np.pi))


def strokes(times: Sequence[float], partials: Sequence[tuple[float, float, float]], rise: float = 0.002) -> Wave:
    """Something struck at each of the times: (frequency in Hz, amplitude, seconds to fall by 60 dB) of its partials."""
    out = np.zeros(SAMPLES)
    for start in times:
        at = T - start
        after = np.clip(at, 0, None)
        for frequency, amplitude, fall in partials:
            if frequency < TOP:
                out += amplitude * 10 ** (-3 * after / fall) * np.sin(2 * np.pi * frequency * after)
    return out * _after(times, rise)


def thuds(rng: np.random.Generator, times: Sequence[float], loud: Sequence[float], hertz: float, fall: float) -> Wave:
    """Dull blows: a falling low tone and a little noise, at each of the times."""
    out = np.zeros(SAMPLES)
    rub = shaped(rng, lambda f: 1 / (1 + (f / (4 * hertz)) ** 4))
    for start, level in zip(times, loud, strict=True):
        after = np.clip(T - start, 0, None)
        envelope = (after > 0) * (1 - np.exp(-after / 0.006)) * np.exp(-after / fall)
        sweep = hertz * (after + 0.5 * fall * (1 - np.exp(-after / fall)))
        out += level * envelope * (np.sin(2 * np.pi * sweep) + 0.4 * np.sin(4 * np.pi * sweep) + 0.25 * rub)
    return out


def shaped(rng: np.random.Generator, gain: Callable[[Wave], Wave]) -> Wave:
    """Gaussian noise of a spectrum, with standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(SAMPLES)) * gain(np.fft.rfftfreq(SAMPLES, 1 / RATE))
    wave = np.fft.irfft(spectrum, SAMPLES)
    return wave / wave.std()


def gusts(rng: np.random.Generator, centre: Wave, width: float) -> Wave:
    """A narrow band of noise whose centre (Hz) moves: air that whistles through a gap."""
    low = [shaped(rng, lambda f: 1 / (1 + (f / width) ** 4)) for _ in range(2)]
    angle = 2 * np.pi * np.cumsum(centre) / RATE
    return low[0] * np.cos(angle) - low[1] * np.sin(angle)


def slow(rng: np.random.Generator, hertz: float) -> Wave:
    """What drifts at random, slower than so many turns a second; standard deviation 1."""
    return shaped(rng, lambda f: 1 / (1 + (f / hertz) ** 8))


def hump(start: float, end: float, *, rise: float = 0.5) -> Wave:
    """0 up to `start` and from `end` on (seconds), 1 at the top, which comes after the share `rise` of the time."""
    share = np.clip((T - start) / (end - start), 0, 1)
    return np.sin(np.pi / 2 * np.where(share < rise, share / rise, (1 - share) / (1 - rise))) ** 2


def held(start: float, end: float, edge: float = 0.01) -> Wave:
    """1 from `start` to `end` (seconds), with soft edges."""
    return np.clip((T - start) / edge, 0, 1) * np.clip((end - T) / edge, 0, 1)


def path(points: Sequence[tuple[float, float]]) -> Wave:
    """(second, value) -> a smooth way from one to the next."""
    times, values = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    i = np.clip(np.searchsorted(times, T, side="right") - 1, 0, len(times) - 2)
    share = np.clip((T - times[i]) / (times[i + 1] - times[i]), 0, 1)
    return values[i] + (values[i + 1] - values[i]) * (3 - 2 * share) * share**2


def room(rng: np.random.Generator, wave: Wave, seconds: float, wet: float) -> Wave:
    """The sound in a room whose echo falls by 60 dB in so many seconds."""
    n = int(RATE * min(seconds, SECONDS))
    echo = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / RATE / seconds)
    tail = fftconvolve(wave, echo / np.sqrt((echo**2).sum()))[:SAMPLES]
    return wave + wet * tail


def _after(times: Sequence[float], rise: float) -> Wave:
    return np.asarray(np.clip((T - min(times)) / rise, 0, 1))
