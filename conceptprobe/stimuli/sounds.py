"""A sound file -> samples that every model is played alike, or one line that says why it cannot be played.

Files come from strangers: size is asked before anything is read, and rate, channels and length before anything is
decoded. libsndfile (through `soundfile`) decodes; it is handed three formats of the two dozen that it knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from math import gcd
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from conceptprobe.errors import MissingError, SoundError, UsageError
from conceptprobe.stimuli.media_bytes import media_bytes
from conceptprobe.stimuli.problems import printable

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from soundfile import SoundFile

FORMATS = {"WAV": (b"RIFF", b"WAVE"), "FLAC": (b"fLaC", b""), "OGG": (b"OggS", b"")}
"""The only decoders that ever see a file: bytes 0 to 4 and, for WAV, 8 to 12."""
MAX_BYTES = 64_000_000
MAX_SECONDS = 60.0
"""Twice the longest window of the usual encoders (Whisper's 30 s): what is longer is a recording and not a stimulus."""
MIN_SECONDS = 0.1
"""Less than a syllable, and a handful of the 20 ms frames of an encoder."""
MIN_RATE, MAX_RATE = 4_000, 384_000
"""Hertz, of the file and of what is asked for: from under the telephone's to the highest of studio converters."""
MAX_CHANNELS = 8
LOUDEST = 4.0
"""Full scale is 1. Lossy codecs overshoot a little, and players clip that; samples beyond this are on another scale."""
SILENT = 2.0**-14
"""About -84 dB: the noise of 16 bits. Many front ends scale to unit variance, and would play that noise at full level."""
_BLOCK = 1 << 16
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""What programs that write into a pipe leave in a WAV header, since they cannot come back and fill in the size."""
_COUNTABLE = 1 << 53
"""libsndfile reports about 2 ** 63 frames where a FLAC header leaves their number open."""


def read_sound(path: Path, sha256: str | None = None, *, rate: int) -> Float[np.ndarray, " n"]:
    """Mono float32 in [-1, 1] at `rate` Hz: a WAV, FLAC or OGG file, its channels averaged, resampled polyphase.

    n = ceil(frames x rate / the file's own rate). The same file gives the same samples, in any thread. What overshoots
    full scale is clipped, as in a player.

    Raises SoundError where the file is missing, empty, not a sound, truncated, too large, too long or too short, has
    an absurd rate, too many channels, samples that are no numbers or no sound at all, or does not have the sha256 that
    is given; UsageError where `rate` is absurd; MissingError where libsndfile is not there.
    """
    import numpy as np

    if not MIN_RATE <= rate <= MAX_RATE:
        raise UsageError(f"sounds cannot be played at {rate:,} Hz; from {MIN_RATE:,} to {MAX_RATE:,} Hz are possible")
    name = f"'{printable(str(path))}'"
    content = media_bytes(path, name, sha256, MAX_BYTES, SoundError)
    samples, own_rate = _decoded(content, name)
    _refuse_samples(samples, name)
    if own_rate != rate:
        samples = _resampled(samples, own_rate, rate)
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def _decoded(content: bytes, name: str) -> tuple[Float[np.ndarray, " n"], int]:
    """float64 samples of all channels averaged, and the file's own rate in Hz."""
    import numpy as np

    soundfile = _soundfile()
    kind = next((k for k, (at0, at8) in FORMATS.items() if content[:4] == at0 and content[8:].startswith(at8)), "")
    if not kind:
        raise SoundError(name, f"is not a sound that can be read ({', '.join([*FORMATS][:-1])} or {[*FORMATS][-1]})")
    if (kind == "WAV" and _wav_is_cut(content)) or (kind == "OGG" and _ogg_is_cut(content)):
        raise SoundError(name, "is truncated: it ends before what its header announces")
    try:
        with soundfile.SoundFile(BytesIO(content)) as sound:
            rate, frames = int(sound.samplerate), int(sound.frames)
            _refuse_header(rate, frames, int(sound.channels), name)  # nothing is decoded yet
            blocks = list(_blocks(sound))
    except SoundError:
        raise
    except Exception as error:  # libsndfile's own errors, and what headers without sense do to the arithmetic on them
        raise SoundError(name, f"is truncated or damaged: {_one_line(error)}") from error
    samples = np.concatenate(blocks) if blocks else np.zeros(0)
    if len(samples) < frames:
        raise SoundError(name, f"is truncated: {len(samples):,} of the {frames:,} samples can be decoded")
    return samples, rate


def _blocks(sound: SoundFile) -> Iterator[Float[np.ndarray, " n"]]:
    """The mean of the channels, block by block, so that eight channels never stand in memory at once."""
    while len(block := sound.read(_BLOCK, dtype="float64", always_2d=True)):
        yield block.mean(axis=1)


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, and libsndfile is not
        hint = "pip install soundfile (it brings libsndfile on Linux, macOS and Windows)"
        raise MissingError(f"sounds cannot be read: {_one_line(error)}", hint=hint) from error
    return soundfile


def _wav_is_cut(content: bytes) -> bool:
    """Whether the `data` chunk announces more bytes than it holds; libsndfile would play what there is."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            return size not in _UNKNOWN_SIZES and at + 8 + size > len(content)
        at += 8 + size + size % 2  # chunks begin at even places
    return False


def _ogg_is_cut(content: bytes) -> bool:
    """Whether the last page is not marked as the end of its stream, or is not all there."""
    page = content[content.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return True
    segments = page[27 : 27 + page[26]]
    return len(page) < 27 + page[26] + sum(segments)


def _refuse_header(rate: int, frames: int, channels: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise SoundError(name, f"has an absurd rate: {rate:,} Hz; from {MIN_RATE:,} to {MAX_RATE:,} Hz are read")
    if channels > MAX_CHANNELS:
        raise SoundError(name, f"has {channels:,} channels; at most {MAX_CHANNELS} are read")
    if frames > _COUNTABLE:
        reason = "does not say how long it is"
        raise SoundError(name, reason, hint="a program that writes into a file, not a pipe, fills the length in")
    if frames <= 0:
        raise SoundError(name, "has no samples: its length is zero")
    if frames / rate > MAX_SECONDS:
        reason = f"is too long: {_seconds(frames / rate)}; at most {MAX_SECONDS:.0f} s are read"
        raise SoundError(name, reason, hint="cut out what is to be heard")
    if frames / rate < MIN_SECONDS:
        raise SoundError(name, f"is too short: {_seconds(frames / rate)}; at least {MIN_SECONDS:g} s are needed")


def _refuse_samples(samples: Float[np.ndarray, " n"], name: str) -> None:
    import numpy as np

    if not np.isfinite(samples).all():
        raise SoundError(name, "has samples that are no numbers (NaN or infinite)")
    if (peak := float(np.abs(samples).max())) > LOUDEST:
        raise SoundError(name, f"has samples up to {peak:.3g}, and full scale is 1", hint="divide them by that")
    if float(np.ptp(samples)) < 2 * SILENT:
        raise SoundError(name, "is silent: nothing rises above the noise of 16 bits")


def _resampled(samples: Float[np.ndarray, " n"], own: int, rate: int) -> Float[np.ndarray, " m"]:
    from scipy.signal import resample_poly

    shared = gcd(own, rate)
    return resample_poly(samples, rate // shared, own // shared)


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10 else f"{value:.3g} s"


def _one_line(error: Exception) -> str:
    said = getattr(error, "error_string", None) or str(error)  # libsndfile's own words, without the handle's address
    return printable(" ".join(said.split()))[:120].rstrip(".") or type(error).__name__
