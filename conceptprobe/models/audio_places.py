"""How long a sound an audio model takes, and which positions of its hidden states stand where there is sound.

Most models read a window of fixed length and pad what is shorter. A mean over padding would measure how long a sound is,
so it is left out; what repeats the sound to fill the window counts as sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from conceptprobe.models.families.audio import Layout

if TYPE_CHECKING:
    from jaxtyping import Bool

FRAME, HOP = 400, 160
"""Samples of one frame of AST's spectrogram, and from one to the next: fixed in its feature extractor."""


class Places(Protocol):
    """Where positions stand in time, in samples at the model's rate."""

    @property
    def shortest(self) -> int:
        """Samples that make at least one position."""
        ...

    @property
    def longest(self) -> int | None:
        """Samples that fit into the window; None where any length does."""
        ...

    def with_sound(self, samples: int, shape: tuple[int, ...]) -> Bool[np.ndarray, " t"] | None:
        """Which positions stand where a sound of so many samples is; None where hidden states of that shape are not
        what the layout says."""
        ...


@dataclass(frozen=True)
class OverSound:
    """Frames of a raw waveform: there is nothing but sound."""

    shortest: int
    longest: None = None

    def with_sound(self, samples: int, shape: tuple[int, ...]) -> Bool[np.ndarray, " t"] | None:
        """All of them."""
        return np.ones(shape[0], dtype=bool) if len(shape) == 1 else None


@dataclass(frozen=True)
class OverWindow:
    """Frames of a padded window: the middle of frame k of t stands at k / t of the window."""

    longest: int
    positions: int
    shortest: int = 1

    def with_sound(self, samples: int, shape: tuple[int, ...]) -> Bool[np.ndarray, " t"] | None:
        """Those whose middle is before the end of the sound."""
        if shape != (self.positions,):
            return None
        held: Bool[np.ndarray, " t"] = np.arange(self.positions) * self.longest < samples * self.positions
        return held


@dataclass(frozen=True)
class OverPatches:
    """Patches of a padded spectrogram, all times of the lowest frequency first."""

    frames: int
    frequencies: int
    patch: int
    stride: int
    shortest: int = FRAME

    @property
    def longest(self) -> int:
        """As many samples as give no frame too many."""
        return FRAME + self.frames * HOP - 1

    def with_sound(self, samples: int, shape: tuple[int, ...]) -> Bool[np.ndarray, " t"] | None:
        """Those that begin before the last frame of the sound ends."""
        starts = np.arange((self.frames - self.patch) // self.stride + 1) * self.stride
        if shape != (self.frequencies * len(starts),):
            return None
        return np.tile(starts < 1 + (samples - FRAME) // HOP, self.frequencies)


@dataclass(frozen=True)
class Folded:
    """HTS-AT: the spectrogram is cut into `folds` stretches of time, which become the rows of a square picture.

    Blocks see its patches row by row; the last feature map is unfolded again: frequencies x times.
    """

    longest: int
    folds: int
    padding: str
    """How a short sound is made to fill the window: `repeatpad` (whole times, then silence), `repeat`, `pad`."""
    shortest: int = 1

    def with_sound(self, samples: int, shape: tuple[int, ...]) -> Bool[np.ndarray, " t"] | None:
        """Those that begin where the sound, or a repetition of it, still is."""
        if len(shape) == 2:
            frequencies, times = shape
            starts = np.tile(np.arange(times) / times, frequencies)
        else:
            side = isqrt(shape[0])
            if side * side != shape[0] or side % self.folds:
                return None
            row, column = np.divmod(np.arange(shape[0]), side)
            starts = (row // (side // self.folds) + column / side) / self.folds
        held: Bool[np.ndarray, " t"] = starts * self.longest < self._filled(samples)
        return held

    def _filled(self, samples: int) -> int:
        times = {"repeatpad": self.longest // samples, "repeat": self.longest}.get(self.padding, 1)
        return samples * times


def places_of(layout: Layout, config: Any, extractor: Any) -> Places:
    """By the configuration of the network and its feature extractor."""
    return _PLACES[layout](config, extractor)


def _shortest_waveform(config: Any) -> int:
    """Samples behind one position of the last convolution."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * int(stride) + int(kernel)
    return samples


_PLACES: dict[Layout, Callable[[Any, Any], Places]] = {
    "waveform": lambda config, extractor: OverSound(_shortest_waveform(config)),
    "window": lambda config, extractor: OverWindow(extractor.n_samples, config.max_source_positions),
    "patches": lambda config, extractor: OverPatches(
        frames=extractor.max_length,
        frequencies=(config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
        patch=config.patch_size,
        stride=config.time_stride,
    ),
    "folded": lambda config, extractor: Folded(
        extractor.nb_max_samples, config.spec_size // config.num_mel_bins, extractor.padding
    ),
}
