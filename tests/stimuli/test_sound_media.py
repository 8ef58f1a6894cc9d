"""Sounds of concept files: they go the way of pictures, beside them, and are true where they ship."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sklearn.feature_extraction.text import TfidfVectorizer
from typer.testing import CliRunner

from conceptprobe.cli.app import app
from conceptprobe.errors import MissingError
from conceptprobe.stimuli import check_files, expand, load_concept
from conceptprobe.stimuli.held_out import held_out_auroc, standardised
from conceptprobe.stimuli.media import left_out
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.sounds import read_sound
from conceptprobe.stimuli.stimulus import StimulusSet
from zoo.sounds.matching import octave_levels

Document = dict[str, Any]
Write = Callable[..., Path]
CONCEPTS = Path(__file__).parents[2] / "concepts"
RATE = 16_000


def flac(number: int) -> bytes:
    buffer = io.BytesIO()
    samples = 0.3 * np.sin(2 * np.pi * (200 + 10 * number) * np.arange(2_000) / 8_000)
    soundfile.write(buffer, samples, 8_000, format="FLAC")
    return buffer.getvalue()


def stored(folder: Path, name: str, content: bytes, modality: str = "audio") -> dict[str, str]:
    """The keys that every entry has, for a file that is written here."""
    (folder / "media").mkdir(exist_ok=True)
    (folder / "media" / name).write_bytes(content)
    return {
        "id": name,
        "modality": modality,
        "path": f"media/{name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "CC0-1.0",
        "caption": f"A tone that is called {name}.",
    }


def pairs(folder: Path, n: int) -> list[dict[str, str]]:
    """n pairs of sounds, s000p and s000c and so on."""
    entries = []
    for i, label in product(range(n), ("positive", "control")):
        entry = stored(folder, f"s{i:03}{label[0]}", flac(2 * i + (label == "control")))
        entries.append(
            entry
            | {"label": label, "pair": f"sp{i:03}"}
            | ({"sense": "essence"} if label == "positive" else {})
            | ({"group": "gx"} if i in (1, 3) else {})
        )
    return entries


def pictures(folder: Path, n: int) -> list[dict[str, str]]:
    from stimuli.test_media import pairs as picture_pairs

    return picture_pairs(folder, n)


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Problem]]:
    """All problems of files, without what is measured of sentences."""
    from conceptprobe.stimuli import difficulty

    monkeypatch.setattr(difficulty, "measure", lambda *_: difficulty.Difficulty(0, {}, {}))
    return lambda *paths: list(check_files(paths).problems)


def sets_of(document: Document, write: Write) -> dict[str, StimulusSet]:
    return expand(load_concept(write(document)))


def test_sounds_are_in_step_with_their_captions(document: Document, write: Write, tmp_path: Path) -> None:
    document["media"] = pairs(tmp_path, 5)
    sets = sets_of(document, write)
    assert {"pictures", "captions"}.isdisjoint(sets)
    for sound, caption, entry in zip(sets["sounds"], sets["sound_captions"], document["media"], strict=True):
        assert (sound.id, caption.id) == (f"zoqa/sounds/{entry['id']}", f"zoqa/sound_captions/{entry['id']}")
        assert (sound.modality, caption.modality) == ("audio", "text")
        assert (sound.content, caption.content) == (entry["sha256"], entry["caption"])
        assert (Path(sound.file), caption.file) == (tmp_path / entry["path"], "")
        assert len(read_sound(Path(sound.file), sound.content, rate=RATE)) == 4_000
        for key in ("role", "sense", "groups", "pair", "label", "lang"):
            assert getattr(sound, key) == getattr(caption, key)
    assert [s.group("unit") for s in sets["sounds"]] == [
        unit for unit in ("sp000", "sp001", "sp002", "sp001", "sp004") for _ in range(2)
    ]
    with pytest.raises(ValueError, match="holds pictures or sounds"):
        _ = sets["sounds"].texts


def test_pictures_and_sounds_of_one_file_are_sets_of_their_own(
    document: Document, write: Write, tmp_path: Path
) -> None:
    document["media"] = pictures(tmp_path, 3)
    alone = sets_of(document, write)["pictures"].fingerprint
    document["media"] = [*pairs(tmp_path, 2), *document["media"]]
    sets = sets_of(document, write)
    assert {name: len(s) for name, s in sets.items() if name in _MEDIA} == dict(zip(_MEDIA, (6, 6, 4, 4), strict=True))
    assert sets["pictures"].fingerprint == alone


_MEDIA = ("pictures", "captions", "sounds", "sound_captions")


def test_what_cannot_be_played_takes_its_pair_along_and_leaves_the_pictures(
    document: Document, write: Write, tmp_path: Path, problems: Callable[..., list[Problem]]
) -> None:
    document["media"] = [*pairs(tmp_path, 42), *pictures(tmp_path, 40)]
    silent = io.BytesIO()
    soundfile.write(silent, np.zeros(8_000), 8_000, format="WAV")
    document["media"][2] |= stored(tmp_path, "s001p", b"no sound")
    document["media"][9] |= stored(tmp_path, "s004c", silent.getvalue())
    path = write(document)
    sets = expand(load_concept(path))
    assert len(sets["sounds"]) == len(sets["sound_captions"]) == len(sets["pictures"]) == 80
    assert {"sp001", "sp004"}.isdisjoint(s.pair for s in sets["sounds"])
    found = problems(path)
    assert [p.code for p in found] == ["CP055", "CP055"]
    assert "sound 'media/s001p' of entry 's001p' is not a sound that can be read" in found[0].message
    assert found[1].message.endswith(
        "is silent: nothing rises above the noise of 16 bits; it is left out, with its pair"
    )
    concept = load_concept(path)
    assert left_out(concept.media, concept.folder) == [p.message for p in found]
    (report,) = check_files([path]).files
    assert report.media["sounds"] == {"positive": 40, "control": 40, "units": 40, "left_out": 4}
    assert report.media["pictures"] == {"positive": 40, "control": 40, "units": 40}


def test_few_sounds_are_for_exploration_whatever_the_pictures(
    document: Document, write: Write, tmp_path: Path, problems: Callable[..., list[Problem]]
) -> None:
    document["media"] = [*pictures(tmp_path, 40), *pairs(tmp_path, 39)]
    (problem,) = problems(write(document))
    assert (problem.code, problem.severity) == ("CP056", "warning")
    assert "39 positive and 39 control sounds, fewer than 40 + 40: every row on sounds will" in problem.message
    document["media"] += pairs(tmp_path, 40)[78:]
    assert problems(write(document)) == []


def test_pools_have_no_sounds_yet(pool: Document, write: Write, tmp_path: Path, problems: Any) -> None:
    pool["media"] = [stored(tmp_path, "b000", flac(1)) | {"word": "thing", "category": "kind0"}]
    assert [p.code for p in problems(write(pool))] == ["CP005"]


def test_without_the_decoder_nothing_is_left_out_and_nothing_fails(
    document: Document, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that plays nothing needs no decoder, and its stimuli must not depend on whether one is there."""
    document["media"] = pairs(tmp_path, 2)
    path = write(document)
    there = expand(load_concept(path))["sounds"].fingerprint
    for i, entry in enumerate(document["media"]):  # other bytes and dates, so that nothing is remembered
        (tmp_path / entry["path"]).write_bytes(flac(50 + i))
        entry["sha256"] = hashlib.sha256(flac(50 + i)).hexdigest()
    monkeypatch.setitem(sys.modules, "soundfile", None)
    sounds = expand(load_concept(write(document)))["sounds"]
    assert len(sounds) == 4
    assert sounds.fingerprint != there
    with pytest.raises(MissingError, match="sounds cannot be read"):
        read_sound(Path(sounds.stimuli[0].file), rate=RATE)


def test_validate_counts_them(document: Document, write: Write, tmp_path: Path) -> None:
    document["media"] = pairs(tmp_path, 4)
    path = str(write(document))
    shown = CliRunner().invoke(app, ["validate", path]).output
    assert "\n  sounds: 4 positive, 4 control, 3 units\n" in shown
    assert "pictures:" not in shown
    (file,) = json.loads(CliRunner().invoke(app, ["validate", path, "--json"]).output)["files"]
    assert (file["sounds"], file["pictures"]) == ({"positive": 4, "control": 4, "units": 3}, {})


class TestShipped:
    """The clips of soul.yaml."""

    @pytest.fixture(scope="class")
    def sets(self) -> dict[str, StimulusSet]:
        return expand(load_concept(CONCEPTS / "soul.yaml"))

    @pytest.fixture(scope="class")
    def waves(self, sets: dict[str, StimulusSet]) -> list[np.ndarray]:
        return [read_sound(Path(s.file), s.content, rate=RATE).astype(float) for s in sets["sounds"]]

    def test_there_are_enough_pairs_and_units(self, sets: dict[str, StimulusSet]) -> None:
        assert set(Counter(s.pair for s in sets["sounds"]).values()) == {2}
        for label in (0, 1):
            own = [s for s in sets["sounds"] if s.label == label]
            assert len(own) >= 12
            assert len({s.group("unit") for s in own}) >= 10

    def test_every_clip_belongs_to_an_entry_and_all_are_small(self, sets: dict[str, StimulusSet]) -> None:
        files = set((CONCEPTS / "media" / "sounds").glob("*.flac"))
        assert files == {Path(s.file) for s in sets["sounds"]}
        assert sum(f.stat().st_size for f in files) < 2_000_000
        assert {soundfile.info(f).samplerate for f in files} == {RATE}
        assert {(soundfile.info(f).channels, soundfile.info(f).subtype) for f in files} == {(1, "PCM_16")}

    def test_clips_are_alike_in_length_and_loudness(self, waves: list[np.ndarray]) -> None:
        assert {len(w) for w in waves} == {3 * RATE}
        for wave in waves:
            assert np.sqrt((wave**2).mean()) == pytest.approx(0.05, rel=0.001)
            assert np.abs(wave).max() < 0.95  # nothing is clipped
            assert abs(wave.mean()) < 1e-4  # no offset
            assert np.abs(wave[[0, -1]]).max() < 0.001  # no click at either end

    def test_captions_of_both_labels_are_alike(self, sets: dict[str, StimulusSet]) -> None:
        captions = sets["sound_captions"]
        words = [[len(s.content.split()) for s in captions if s.label == label] for label in (0, 1)]
        assert abs(np.mean(words[0]) - np.mean(words[1])) < 0.5
        assert all(4 <= n <= 9 for n in words[0] + words[1])
        assert len(set(captions.texts)) == len(captions)

    def test_no_octave_no_loudness_and_no_word_gives_the_label_away(
        self, sets: dict[str, StimulusSet], waves: list[np.ndarray]
    ) -> None:
        units, labels = [s.group("unit") for s in sets["sounds"]], np.array(sets["sounds"].labels)
        octaves = np.array([np.maximum(octave_levels(w), -60) for w in waves])
        loudness = np.array([[np.abs(w).max(), np.sqrt((w**2).mean()), _centroid(w)] for w in waves])
        words = TfidfVectorizer().fit_transform(sets["sound_captions"].texts).toarray()
        for features in (standardised(octaves), standardised(np.hstack([octaves, loudness])), words):
            auroc = held_out_auroc(features, labels, units)
            assert auroc is not None
            assert auroc < 0.65


def _centroid(wave: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(wave)) ** 2
    return float((np.fft.rfftfreq(len(wave), 1 / RATE) * power).sum() / power.sum())
