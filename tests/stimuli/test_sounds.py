"""The one decoder of sounds: three formats, every rate and channel alike, and one line for everything else."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conceptprobe.errors import MissingError, SoundError, UsageError
from conceptprobe.stimuli import sounds
from conceptprobe.stimuli.sounds import read_sound

RATE = 16_000
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(content: bytes, name: str = "x.wav") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def tone(hertz: float = 440.0, seconds: float = 0.5, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def encoded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def strongest(samples: np.ndarray, rate: int) -> float:
    """Frequency (Hz) at which the spectrum is highest, to a quarter of its resolution."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples)))
    return float(spectrum.argmax() * rate / (4 * len(samples)))


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_16", 2**-14),
        ("WAV", "PCM_U8", 2**-6),
        ("WAV", "PCM_24", 2**-22),
        ("WAV", "FLOAT", 1e-7),
        ("WAV", "DOUBLE", 1e-7),
        ("WAVEX", "PCM_16", 2**-14),
        ("FLAC", "PCM_16", 2**-14),
        ("FLAC", "PCM_24", 2**-22),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_formats_give_the_samples_that_were_written(put: Put, kind: str, subtype: str, error: float) -> None:
    read = read_sound(put(encoded(tone(), kind=kind, subtype=subtype), "x"), rate=RATE)
    assert (read.dtype, read.shape) == (np.float32, (RATE // 2,))
    assert np.abs(read - tone()).max() < error


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "MP3"])
def test_other_formats_that_libsndfile_knows_are_refused(put: Put, kind: str) -> None:
    with pytest.raises(SoundError, match=r"is not a sound that can be read \(WAV, FLAC or OGG\)"):
        read_sound(put(encoded(tone(), kind=kind)), rate=RATE)


@pytest.mark.parametrize("channels", [2, 8])
def test_channels_are_averaged(put: Put, channels: int) -> None:
    each = np.stack([tone(level=0.08 * (c + 1)) for c in range(channels)], axis=1)
    read = read_sound(put(encoded(each, subtype="FLOAT")), rate=RATE)
    assert np.abs(read - each.mean(axis=1)).max() < 1e-6


def test_the_mean_does_not_depend_on_where_a_block_ends(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(encoded(np.stack([tone(), tone(300)], axis=1)))
    whole = read_sound(path, rate=RATE)
    monkeypatch.setattr(sounds, "_BLOCK", 777)
    assert np.array_equal(read_sound(path, rate=RATE), whole)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    own=st.sampled_from([8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000, 15_990]),
    rate=st.sampled_from([8_000, 16_000, 24_000, 44_100, 48_000]),
    hertz=st.floats(150, 3_000),
)
def test_resampling_keeps_the_pitch_the_level_and_the_length(put: Put, own: int, rate: int, hertz: float) -> None:
    read = read_sound(put(encoded(tone(hertz, 0.5, own), own, subtype="FLOAT")), rate=rate)
    assert len(read) == -(-round(0.5 * own) * rate // own)
    assert strongest(read, rate) == pytest.approx(hertz, abs=2.5)
    inner = read[rate // 20 : -rate // 20]
    assert np.sqrt((inner**2).mean()) == pytest.approx(0.5 / 2**0.5, rel=0.02)


def test_what_the_new_rate_cannot_hold_is_left_out_and_not_folded_back(put: Put) -> None:
    high = read_sound(put(encoded(tone(12_000, rate=48_000) + tone(1_000, rate=48_000, level=0.2), 48_000)), rate=RATE)
    assert strongest(high, RATE) == pytest.approx(1_000, abs=3)
    assert np.sqrt((high**2).mean()) == pytest.approx(0.2 / 2**0.5, rel=0.05)


def test_overshoot_is_clipped_as_in_a_player(put: Put) -> None:
    read = read_sound(put(encoded(tone(level=1.5), subtype="FLOAT")), rate=RATE)
    assert (float(read.min()), float(read.max())) == (-1.0, 1.0)


def test_speech_is_read_at_any_rate(put: Put, tmp_path: Path) -> None:
    """Of espeak-ng where it is installed, else two formants over a buzz: the spectrum below 3 kHz stays as it was."""
    path = tmp_path / "speech.wav"
    if program := shutil.which("espeak-ng"):
        subprocess.run([program, "-w", str(path), "The bell rings in the hall."], check=True, timeout=60)
    else:
        t = np.arange(22_050) / 22_050
        buzz = sum(
            np.sin(2 * np.pi * 120 * k * t) * sum(1 / (1 + ((120 * k - f) / 90) ** 2) for f in (700, 1_200))
            for k in range(1, 60)
        )
        path.write_bytes(encoded(0.3 * buzz / np.abs(buzz).max(), 22_050))
    own, rate = soundfile.read(path)
    read = read_sound(path, rate=RATE)
    bands = np.arange(100, 3_001, 100)
    assert np.allclose(_energy(read, RATE, bands), _energy(own, rate, bands), atol=0.02)


def _energy(samples: np.ndarray, rate: int, edges: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(samples)) ** 2
    found, _ = np.histogram(np.fft.rfftfreq(len(samples), 1 / rate), edges, weights=power)
    return found / found.sum()


def with_field(content: bytes, at: int, value: int, size: int) -> bytes:
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


def wav(rate: int = RATE, channels: int = 1, data: int | None = None) -> bytes:
    """A WAV file of half a second in 16 bits, whose header may say anything."""
    content = encoded(tone())
    content = with_field(with_field(content, 22, channels, 2), 24, rate, 4)
    return content if data is None else with_field(content, 40, data, 4)


def flac(frames: int) -> bytes:
    """A FLAC file of half a second, whose header announces another number of samples."""
    content = encoded(tone(), kind="FLAC")
    field = int.from_bytes(content[18:26], "big") >> 36 << 36
    return content[:18] + struct.pack(">Q", field | frames) + content[26:]


def spoiled(value: float) -> bytes:
    samples = tone()
    samples[100] = value
    return encoded(samples, subtype="FLOAT")


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
MALFORMED = {
    "zero bytes": (b"", "is empty"),
    "text": (b"I am not a sound.\n", "is not a sound"),
    "html": (b"<!doctype html><title>404</title>", "is not a sound"),
    "a RIFF that is no WAV": (b"RIFF\0\0\0\0AVI LIST", "is not a sound"),
    "only a signature": (b"RIFF\0\0\0\0WAVE", "is truncated or damaged"),
    "no data": (encoded(tone())[:36], "is truncated or damaged: Error in WAV file"),
    "half a wav": (encoded(NOISE)[:RATE], "is truncated: it ends before what its header announces"),
    "a wav without its last byte": (encoded(NOISE)[:-1], "is truncated"),
    "half a flac": (encoded(NOISE, kind="FLAC")[:RATE], "is truncated or damaged"),
    "half an ogg": (encoded(NOISE, kind="OGG")[:4_000], "is truncated"),
    "an ogg without its last byte": (encoded(NOISE, kind="OGG")[:-1], "is truncated"),
    "a flac that announces more": (flac(30 * RATE), "is truncated"),
    "no samples": (encoded(np.zeros(0)), "has no samples: its length is zero"),
    "an hour, says the header of a flac": (flac(3_600 * RATE), "is too long: 3,600 s; at most 60 s"),
    "a flac that does not say": (flac(0), "does not say how long it is"),
    "too short": (encoded(tone(seconds=0.05)), r"is too short: 0\.05 s; at least 0\.1 s"),
    "two kilohertz": (wav(rate=2_000), "has an absurd rate: 2,000 Hz; from 4,000 to 384,000"),
    "half a megahertz": (wav(rate=500_000), "has an absurd rate: 500,000 Hz"),
    "no rate": (wav(rate=0), "is truncated or damaged"),
    "no channels": (wav(channels=0), "is truncated or damaged"),
    "nine channels": (encoded(np.zeros((RATE, 9))), "has 9 channels; at most 8"),
    "a thousand channels": (wav(channels=1_000), "has 1,000 channels|is truncated or damaged"),
    "NaN": (spoiled(np.nan), "has samples that are no numbers"),
    "infinite": (spoiled(-np.inf), "has samples that are no numbers"),
    "integers as floats": (spoiled(20_000.0), r"has samples up to 2e\+04, and full scale is 1"),
    "silence": (encoded(np.zeros(RATE)), "is silent"),
    "an offset": (encoded(np.full(RATE, 0.3)), "is silent"),
    "the last bit": (encoded(np.resize([0.0, 1 / 32_768], RATE)), "is silent"),
    "channels that cancel out": (encoded(np.stack([tone(), -tone()], axis=1), subtype="FLOAT"), "is silent"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_played_is_refused_in_one_line(put: Put, case: str) -> None:
    content, says = MALFORMED[case]
    with pytest.raises(SoundError, match=says) as caught:
        read_sound(put(content), rate=RATE)
    assert "\n" not in caught.value.message
    assert "object at 0x" not in caught.value.message
    assert caught.value.message.startswith("sound '")
    assert caught.value.message.endswith(caught.value.reason)
    assert caught.value.exit_code == 2


def test_a_sound_from_a_pipe_has_no_size_in_its_header_and_is_read(put: Put) -> None:
    assert len(read_sound(put(wav(data=0xFFFFFFFF)), rate=RATE)) == RATE // 2


def test_an_hour_is_refused_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file: an hour of 8-bit samples at 8 kHz, of which the disk holds the header."""
    path = tmp_path / "hour.wav"
    header = bytearray(encoded(tone(rate=8_000), 8_000, subtype="PCM_U8")[:44])
    header[40:44] = (8_000 * 3_600).to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(header)
        file.truncate(44 + 8_000 * 3_600)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", never)
    with pytest.raises(SoundError, match="is too long: 3,600 s"):
        read_sound(path, rate=RATE)


def test_a_minute_is_the_longest(put: Put) -> None:
    quiet = np.resize(tone(rate=4_000), 60 * 4_000)
    assert len(read_sound(put(encoded(quiet, 4_000)), rate=4_000)) == 240_000
    with pytest.raises(SoundError, match="is too long: 60 s"):
        read_sound(put(encoded(np.append(quiet, 0.1), 4_000)), rate=4_000)


def test_a_large_file_is_refused_unread(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "MAX_BYTES", 100)
    with pytest.raises(SoundError, match="MB are read"):
        read_sound(put(encoded(tone())), rate=RATE)


def test_missing_files_folders_and_pipes(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match=r"nowhere\.wav' does not exist"):
        read_sound(tmp_path / "nowhere.wav", rate=RATE)
    with pytest.raises(SoundError, match="is not a file"):
        read_sound(tmp_path, rate=RATE)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SoundError, match="is not a file"):
        read_sound(tmp_path / "pipe", rate=RATE)
    with pytest.raises(SoundError, match="sound '"):
        read_sound(tmp_path / "a\0b", rate=RATE)


def test_the_hash_is_checked_before_anything_is_decoded(put: Put) -> None:
    path = put(encoded(tone()))
    assert len(read_sound(path, hashlib.sha256(path.read_bytes()).hexdigest(), rate=RATE)) == RATE // 2
    path.write_bytes(b"no sound")
    with pytest.raises(SoundError, match=r"has sha256 [0-9a-f]{64}, not 0000"):
        read_sound(path, "0" * 64, rate=RATE)


@pytest.mark.parametrize("rate", [0, -16_000, 3_999, 384_001, 10**9])
def test_nothing_is_played_at_an_absurd_rate(put: Put, rate: int) -> None:
    with pytest.raises(UsageError, match="sounds cannot be played at"):
        read_sound(put(encoded(tone())), rate=rate)


def test_without_the_library_the_message_says_what_to_install(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingError, match="sounds cannot be read") as caught:
        read_sound(put(encoded(tone())), rate=RATE)
    assert "pip install soundfile" in caught.value.hint


def test_threads_do_not_disturb_each_other(put: Put) -> None:
    paths = [put(encoded(tone(200 + 50 * i), 44_100, "FLAC"), f"{i}.flac") for i in range(8)]
    alone = [read_sound(path, rate=RATE) for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: read_sound(path, rate=RATE), paths * 3))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 3, together, strict=True))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(sounds.FORMATS)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
    in_header=st.booleans(),
)
def test_whatever_the_bytes_it_is_a_sound_or_a_sound_error(
    put: Put, kind: str, cut: float, flips: list[tuple[float, int]], in_header: bool
) -> None:
    content = bytearray(encoded(tone(seconds=0.2), kind=kind))
    for at, change in flips:
        content[int(at * (min(60, len(content)) if in_header else len(content)))] ^= change
    try:
        read = read_sound(put(bytes(content[: max(1, int(cut * len(content)))])), rate=RATE)
    except SoundError:
        return
    assert read.dtype == np.float32
    assert np.isfinite(read).all()
    assert np.abs(read).max() <= 1
