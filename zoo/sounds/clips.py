"""The clips: what evokes a soul, each beside an everyday sound of the same acoustic family, and what each is called.

A pair shares its kind of source (sung or blown chord, struck metal, dull thuds, streaming air, beeps, plucked strings),
its length, loudness and octave levels, the number of its events and the room it stands in. What is left is what is heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from zoo.sounds.matching import matched
from zoo.sounds.synthesis import (
    AH,
    MM,
    OH,
    OO,
    SECONDS,
    T,
    gusts,
    harmonics,
    held,
    horn,
    hump,
    path,
    resonance,
    room,
    shaped,
    slow,
    strokes,
    thuds,
    voice,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Wave = Float[np.ndarray, " n"]

Rng = np.random.Generator


@dataclass(frozen=True)
class Clip:
    """One sound: the name of its file, what is heard, and what makes it."""

    name: str
    caption: str
    make: Callable[[Rng], Wave]


@dataclass(frozen=True)
class Pair:
    """A sound of the concept and its control. Pairs of one group are never split between folds."""

    pair: str
    positive: Clip
    control: Clip
    group: str = ""
    echo: float = 0.4
    """Seconds of the room that both stand in."""


def rendered(pair: Pair) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Both clips as 16-bit samples; the same in every run."""
    waves = []
    for clip in (pair.positive, pair.control):
        wave = clip.make(_rng(clip.name))
        waves.append(room(_rng(pair.pair), wave / np.abs(wave).max(), pair.echo, 0.35))  # one room for both
    return matched(*waves)


def _rng(name: str) -> Rng:
    return np.random.default_rng(int.from_bytes(sha256(name.encode()).digest()[:8], "big"))


_WHOLE = hump(0.0, SECONDS, rise=0.4)
_CHORD = (220.0, 277.18, 329.63, 440.0)
_TUNE = ((0.0, 329.63), (0.5, 261.63), (1.0, 293.66), (1.5, 196.0), (2.0, 246.94), (2.5, 261.63))
_BLOWS = (0.1, 1.1, 2.1)


def choir(rng: Rng) -> Wave:
    """Two singers a note on an open vowel."""
    return _WHOLE * sum(voice(rng, f * rng.normal(1, 0.003), AH) for f in _CHORD * 2)


def train_horn(rng: Rng) -> Wave:
    """Five trumpets of a locomotive."""
    return _WHOLE * sum(horn(rng, f * rng.normal(1, 0.003), 0.8) for f in (207.65, 277.18, 311.13, 369.99, 466.16))


def chant(rng: Rng) -> Wave:
    """Low voices in unison and a fifth, two syllables."""
    first, second = (sum(voice(rng, f, vowel, vibrato=0.006) for f in (98, 98.5, 147, 97.4)) for vowel in (OH, OO))
    turn = path(((0, 0), (1.3, 0), (1.7, 1), (3, 1)))
    return (1 - turn) * first * hump(0, 1.75, rise=0.3) + turn * second * hump(1.25, 3, rise=0.3)


def engine(rng: Rng) -> Wave:
    """A diesel engine that is revved twice."""
    pace = 25 + 12 * (hump(0, 1.75, rise=0.3) + hump(1.25, 3, rise=0.3))
    casing = ((90.0, 40.0, 0.0), (300.0, 120.0, -3.0), (900.0, 300.0, -10.0), (2600.0, 600.0, -22.0))
    uneven = 1 + 0.3 * slow(rng, 30)
    return (hump(0, 1.75, rise=0.3) + hump(1.25, 3, rise=0.3)) * (
        uneven * harmonics(pace, lambda f: resonance(f, casing)) + 0.1 * shaped(rng, lambda f: resonance(f, casing))
    )


def church_bell(rng: Rng) -> Wave:
    """Hum, prime, minor third, fifth, nominal and above."""
    ratios = (0.5, 1.0, 1.2, 1.5, 2.0, 2.51, 2.66, 3.01, 4.17, 5.43)
    levels = (0.7, 0.8, 0.7, 0.3, 1.0, 0.4, 0.35, 0.3, 0.2, 0.12)
    beating = [(233.0 * r * s, a, 6.0 / r**0.8) for r, a in zip(ratios, levels, strict=True) for s in (1, 1.0015)]
    return strokes(_BLOWS, beating)


def saucepan(rng: Rng) -> Wave:
    """A spoon on thin metal: dense partials, soon gone."""
    modes = [(f, rng.uniform(0.3, 1), 0.9 * (400 / f) ** 0.4) for f in 270 * np.cumprod(rng.uniform(1.12, 1.32, 14))]
    return strokes(_BLOWS, modes)


def singing_bowl(rng: Rng) -> Wave:
    """Few partials far apart, each a pair that beats slowly."""
    modes = ((1.0, 1.0, 7.0), (2.77, 0.6, 5.0), (5.18, 0.3, 3.0), (8.16, 0.12, 1.6))
    return strokes((0.1,), [(212.0 * r + d, a, fall) for r, a, fall in modes for d in (-0.6, 0.7)], rise=0.01)


def lift_chime(rng: Rng) -> Wave:
    """A bar of metal over a tube, once."""
    modes = ((1.0, 1.0, 3.2), (2.0, 0.25, 2.6), (3.98, 0.4, 1.4), (9.8, 0.1, 0.5))
    return strokes((0.1,), [(392.0 * r, a, fall) for r, a, fall in modes]) * (1 + 0.1 * np.sin(2 * np.pi * 7 * T))


def gong(rng: Rng) -> Wave:
    """A low stroke, and a shimmer that comes after it."""
    low = strokes((0.1,), [(f, 1.0, 6.0) for f in (92.0, 92.7, 138.0, 187.0)])
    modes = [(f, rng.uniform(0.2, 0.6), 4.0) for f in rng.uniform(220, 2400, 60)]
    return low + 0.5 * strokes((0.1,), modes) * path(((0, 0), (0.1, 0), (0.9, 1), (3, 0.7)))


def bin_lid(rng: Rng) -> Wave:
    """Sheet metal that falls and circles on its rim, faster and faster."""
    modes = [(f, rng.uniform(0.2, 1), 5.0) for f in rng.uniform(110, 2400, 50)]
    turning = 2 * np.pi * np.cumsum(path(((0, 3), (3, 16)))) / 16_000
    return strokes((0.1,), modes) * (0.25 + np.clip(np.sin(turning), 0, 1) ** 3)


def heartbeat(rng: Rng) -> Wave:
    """Two sounds a beat, 70 beats a minute."""
    times = [start + part for start in (0.1, 0.95, 1.8, 2.65) for part in (0.0, 0.3)]
    return thuds(rng, [t for t in times if t < 2.9], [1.0, 0.65] * 3 + [1.0], 55.0, 0.06)


def tumble_dryer(rng: Rng) -> Wave:
    """A pair of shoes goes round: seven blows, none like the last."""
    times = np.linspace(0.1, 2.65, 7) + rng.uniform(-0.1, 0.1, 7)
    return thuds(rng, list(times), list(rng.uniform(0.5, 1.0, 7)), 66.0, 0.05)


def last_beats(rng: Rng) -> Wave:
    """Beats farther and farther apart, and weaker."""
    times = [start + part for start in (0.1, 0.65, 1.35, 2.3) for part in (0.0, 0.25)]
    return thuds(rng, times, [1.0, 0.7, 0.8, 0.5, 0.55, 0.35, 0.35, 0.2], 58.0, 0.06)


def bouncing_ball(rng: Rng) -> Wave:
    """Bounces closer and closer together, and weaker."""
    gaps = 0.85 * 0.72 ** np.arange(7)
    return thuds(rng, list(0.1 + np.concatenate([[0], np.cumsum(gaps)])), list(0.8 ** np.arange(8)), 84.0, 0.035)


def breath(rng: Rng) -> Wave:
    """In through the nose, out through the mouth."""
    nose = shaped(rng, lambda f: resonance(f, ((1300, 500, 0), (2600, 700, -3), (5000, 1500, -10))))
    mouth = shaped(rng, lambda f: resonance(f, ((550, 250, 0), (1500, 400, -6), (2800, 700, -12))))
    return 0.7 * nose * hump(0.1, 1.35, rise=0.6) + mouth * hump(1.55, 2.9, rise=0.25)


def bicycle_pump(rng: Rng) -> Wave:
    """Air drawn in through a valve, then pressed out of a narrow hose."""
    drawn = shaped(rng, lambda f: resonance(f, ((900, 300, 0), (3200, 900, 0), (5200, 900, -6))))
    pressed = gusts(rng, path(((0, 700), (1.55, 700), (2.9, 1900))), 350.0) + 0.5 * drawn
    return 0.7 * drawn * held(0.1, 1.3, 0.05) + pressed * hump(1.55, 2.9, rise=0.85)


def sigh(rng: Rng) -> Wave:
    """A breath let go, with a trace of voice that sinks."""
    air = gusts(rng, path(((0, 900), (0.6, 800), (3, 420))), 260.0) + 0.5 * shaped(rng, lambda f: resonance(f, AH))
    tone = voice(rng, path(((0, 215), (0.6, 220), (3, 130))), AH, vibrato=0.004)
    return hump(0.1, 2.9, rise=0.18) * (air + 0.5 * hump(0.1, 1.8, rise=0.2) * tone / tone.std())


def tyre(rng: Rng) -> Wave:
    """Air leaves a valve, with a trace of whistle that sinks as the pressure does."""
    air = shaped(rng, lambda f: resonance(f, ((1700, 900, 0), (4200, 1500, 0))))
    tone = harmonics(path(((0, 520), (0.6, 510), (3, 240))), lambda f: (f / 300) ** -1.5)
    return hump(0.1, 2.9, rise=0.08) * (air * path(((0, 1), (3, 0.4))) + 0.35 * tone / tone.std())


def whisper(rng: Rng) -> Wave:
    """Five syllables without voice."""
    out = np.zeros_like(T)
    vowels = (AH, OO, OH, OO, AH)
    for start, vowel in zip((0.15, 0.6, 1.1, 1.75, 2.2), vowels, strict=True):
        hiss = shaped(rng, lambda f: resonance(f, ((3800, 900, 0), (5600, 900, -4))))
        mouth = [(centre, 2 * width, level / 2) for centre, width, level in vowel]
        open_ = shaped(rng, partial(resonance, formants=mouth))
        out += 0.35 * hiss * hump(start, start + 0.16) + open_ * hump(start + 0.08, start + 0.5, rise=0.3)
    return out


def broom(rng: Rng) -> Wave:
    """Five strokes of bristles."""
    out = np.zeros_like(T)
    for start in (0.15, 0.65, 1.15, 1.7, 2.25):
        grain = np.clip(1 + 0.6 * shaped(rng, lambda f: 1 / (1 + (f / 60) ** 4)), 0, None)
        out += grain * hump(start, start + 0.48, rise=0.7) * shaped(rng, lambda f: 1 / (1 + ((f - 1900) / 1900) ** 4))
    return out


def organ(rng: Rng) -> Wave:
    """Four notes in three ranks of pipes."""
    pipes = [
        (f * rank * rng.normal(1, 0.0015), level) for f in (130.81, 196.0, 261.63, 311.13) for rank, level in _RANKS
    ]
    return _WHOLE * sum(level * horn(rng, f, 2.2) for f, level in pipes)


_RANKS = ((1.0, 1.0), (2.0, 0.5), (3.0, 0.2))


def vacuum_cleaner(rng: Rng) -> Wave:
    """A motor runs up, with the noise of its fan."""
    turns = 150 + 60 * path(((0, 0), (1.2, 1), (2.4, 1), (3, 0.3)))
    casing = ((330.0, 150.0, 0.0), (900.0, 300.0, -4.0), (2200.0, 900.0, -14.0))
    motor = harmonics(turns, lambda f: resonance(f, casing))
    return _WHOLE * (motor / motor.std() + 0.5 * shaped(rng, lambda f: resonance(f, casing)))


def lullaby(rng: Rng) -> Wave:
    """Hummed with a closed mouth, note bound to note."""
    pitch = path([(t + d, f) for t, f in _TUNE for d in (0.0, 0.4)] + [(3.0, _TUNE[-1][1])])
    return voice(rng, pitch, MM) * sum(hump(t, t + 0.56, rise=0.35) for t, _ in _TUNE)


def ringtone(rng: Rng) -> Wave:
    """The same notes out of a telephone."""
    out = np.zeros_like(T)
    for t, f in _TUNE:
        out += held(t, t + 0.4, 0.004) * harmonics(f, lambda f: (f / 260) ** -1.6) * 10 ** (-np.clip(T - t, 0, None))
    return out


def hall_wind(rng: Rng) -> Wave:
    """Air that moans through a hall, higher and lower."""
    centre = 480 + 130 * np.sin(2 * np.pi * 0.45 * T) + 40 * slow(rng, 1.5)
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 0.45 * T + 0.3)
    return swell * (gusts(rng, centre, 22.0) + 0.5 * gusts(rng, 2.1 * centre, 60.0)) + 0.15 * shaped(rng, _rumble)


def _rumble(f: Wave) -> Wave:
    return 1 / (1 + (f / 900) ** 2)


def hair_dryer(rng: Rng) -> Wave:
    """A fan in a tube, with its motor, a little faster and slower."""
    turns = 235 + 8 * np.sin(2 * np.pi * 0.45 * T)
    motor = harmonics(turns, lambda f: resonance(f, ((480.0, 160.0, 0.0), (1000.0, 300.0, -6.0))))
    swell = 0.75 + 0.25 * np.sin(2 * np.pi * 0.45 * T + 0.3)
    return swell * (motor / motor.std() + 0.6 * shaped(rng, lambda f: resonance(f, ((480, 300, 0), (1000, 500, -6)))))


def keening(rng: Rng) -> Wave:
    """One voice rises and falls, twice, and trembles."""
    pitch = path(((0, 330), (0.6, 520), (1.4, 350), (1.6, 350), (2.1, 560), (3, 300)))
    return voice(rng, pitch, OH, vibrato=0.025) * (hump(0, 1.55, rise=0.35) + hump(1.45, 3, rise=0.35))


def siren(rng: Rng) -> Wave:
    """A siren rises and falls, twice."""
    pitch = path(((0, 330), (0.75, 560), (1.5, 330), (2.25, 560), (3, 330)))
    return harmonics(pitch, lambda f: resonance(f, ((700.0, 350.0, 0.0), (2500.0, 500.0, -10.0))) * (300 / f))


def monitor(rng: Rng) -> Wave:
    """A heart monitor: beeps that come later and later, then one tone."""
    return _beeps(880.0, (0.05, 0.55, 1.25))


def parking_sensor(rng: Rng) -> Wave:
    """Beeps that come sooner and sooner, then one tone."""
    return _beeps(950.0, (0.05, 0.85, 1.4))


def _beeps(hertz: float, starts: tuple[float, ...]) -> Wave:
    tone = harmonics(hertz, lambda f: (f / hertz) ** -3.0)
    return tone * (sum(held(t, t + 0.18) for t in starts) + held(1.9, 2.95))


def harp(rng: Rng) -> Wave:
    """Twelve strings from low to high, left to ring."""
    return sum(
        (_string(0.1 + 0.2 * i, 146.83 * 2 ** (step / 12), 2.8) for i, step in enumerate(_SCALE)),
        start=np.zeros_like(T),
    )


_SCALE = (0, 3, 7, 10, 12, 15, 19, 22, 24, 27, 31, 34)


def rubber_bands(rng: Rng) -> Wave:
    """Twelve bands over a box in no order, soon mute."""
    steps = rng.permutation(_SCALE) + rng.uniform(-0.7, 0.7, 12)
    return sum(
        (_string(0.1 + 0.2 * i, 146.83 * 2 ** (s / 12), 0.45) for i, s in enumerate(steps)), start=np.zeros_like(T)
    )


def _string(start: float, hertz: float, fall: float) -> Wave:
    """High harmonics of a plucked string fade first."""
    return strokes((start,), [(k * hertz, 1 / k, fall / k**0.7) for k in range(1, 16)])


PAIRS: tuple[Pair, ...] = (
    Pair(
        "soul-s01",
        Clip("choir", "A choir holds one soft chord.", choir),
        Clip("train-horn", "A train sounds its chord of horns.", train_horn),
        "soul-sung",
        1.2,
    ),
    Pair(
        "soul-s02",
        Clip("chant", "Low voices chant two long syllables.", chant),
        Clip("engine", "A diesel engine is revved two times.", engine),
        "soul-sung",
        0.8,
    ),
    Pair(
        "soul-s03",
        Clip("church-bell", "A church bell tolls three times.", church_bell),
        Clip("saucepan", "A spoon strikes a saucepan three times.", saucepan),
        "soul-bells",
    ),
    Pair(
        "soul-s04",
        Clip("singing-bowl", "A singing bowl is struck and hums.", singing_bowl),
        Clip("lift-chime", "A lift arrives and its chime sounds.", lift_chime),
    ),
    Pair(
        "soul-s05",
        Clip("gong", "A temple gong booms and shimmers.", gong),
        Clip("bin-lid", "A bin lid falls and rattles.", bin_lid),
        "soul-bells",
    ),
    Pair(
        "soul-s06",
        Clip("heartbeat", "A heart beats steadily, close by.", heartbeat),
        Clip("tumble-dryer", "Shoes thud around in a tumble dryer.", tumble_dryer),
        "soul-heart",
        0.2,
    ),
    Pair(
        "soul-s07",
        Clip("last-beats", "A heartbeat slows, weakens and stops.", last_beats),
        Clip("bouncing-ball", "A bouncing ball quickens, weakens and stops.", bouncing_ball),
        "soul-heart",
        0.2,
    ),
    Pair(
        "soul-s08",
        Clip("breath", "Somebody breathes in and slowly out.", breath),
        Clip("bicycle-pump", "A bicycle pump draws and presses air.", bicycle_pump),
        "soul-breath",
        0.2,
    ),
    Pair(
        "soul-s09",
        Clip("sigh", "A long sigh sinks and dies away.", sigh),
        Clip("tyre", "A tyre hisses and goes slowly flat.", tyre),
        "soul-breath",
        0.2,
    ),
    Pair(
        "soul-s10",
        Clip("whisper", "A whisper of five hushed syllables.", whisper),
        Clip("broom", "A broom sweeps in five short strokes.", broom),
        "soul-breath",
        0.3,
    ),
    Pair(
        "soul-s11",
        Clip("organ", "A pipe organ swells on a chord.", organ),
        Clip("vacuum-cleaner", "A vacuum cleaner runs up and down.", vacuum_cleaner),
        "",
        1.2,
    ),
    Pair(
        "soul-s12",
        Clip("lullaby", "A lullaby is hummed, mouth closed.", lullaby),
        Clip("ringtone", "A telephone rings with a tune.", ringtone),
        "",
        0.3,
    ),
    Pair(
        "soul-s13",
        Clip("hall-wind", "Wind moans through an empty hall.", hall_wind),
        Clip("hair-dryer", "A hair dryer blows warm air.", hair_dryer),
        "",
        0.8,
    ),
    Pair(
        "soul-s14",
        Clip("keening", "A lone voice keens, rising and falling.", keening),
        Clip("siren", "A lone siren wails, rising and falling.", siren),
        "",
        0.8,
    ),
    Pair(
        "soul-s15",
        Clip("monitor", "A heart monitor slows and goes flat.", monitor),
        Clip("parking-sensor", "A parking sensor quickens to one tone.", parking_sensor),
        "",
        0.1,
    ),
    Pair(
        "soul-s16",
        Clip("harp", "A harp rises, its strings ringing on.", harp),
        Clip("rubber-bands", "Rubber bands twang over a hollow box.", rubber_bands),
        "",
        0.4,
    ),
)
"""The pairs of soul.yaml. One group holds what comes of one source: mouths that sing, bells, hearts, breath."""
