"""The clips are made the same in every run, and a pair is alike in all that is not the point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from conceptprobe.errors import UsageError
from zoo.media_block import replace_media
from zoo.sounds.__main__ import encoded, entries
from zoo.sounds.clips import PAIRS, Pair, rendered
from zoo.sounds.matching import MOST_DB, matched, octave_levels
from zoo.sounds.synthesis import RATE, SAMPLES, T, path, shaped, strokes, thuds

CONCEPTS = Path(__file__).parents[2] / "concepts"
QUICK = [p for p in PAIRS if p.positive.name in ("church-bell", "heartbeat", "breath")]


@pytest.fixture(scope="module", params=QUICK, ids=lambda p: p.positive.name)
def made(request: pytest.FixtureRequest) -> tuple[Pair, tuple[np.ndarray, np.ndarray]]:
    return request.param, rendered(request.param)


def test_the_same_bytes_in_every_run(made: tuple[Pair, tuple[np.ndarray, np.ndarray]]) -> None:
    pair, samples = made
    again = rendered(pair)
    assert [encoded(s) for s in samples] == [encoded(s) for s in again]


def test_what_ships_is_what_the_script_makes(made: tuple[Pair, tuple[np.ndarray, np.ndarray]]) -> None:
    """To the last bit but one: sines differ in their last digit from one processor to the next."""
    pair, samples = made
    for clip, own in zip((pair.positive, pair.control), samples, strict=True):
        shipped, rate = soundfile.read(CONCEPTS / "media" / "sounds" / f"{clip.name}.flac", dtype="int16")
        assert (rate, len(shipped)) == (RATE, SAMPLES)
        assert np.abs(shipped.astype(int) - own).max() <= 1


def test_the_entries_of_soul_are_those_of_the_table() -> None:
    media = yaml.safe_load((CONCEPTS / "soul.yaml").read_text("utf-8"))["media"]
    sounds = [e for e in media if e["modality"] == "audio"]
    table = [e for p in PAIRS for e in entries(p, (b"", b""))]
    assert [{k: v for k, v in e.items() if k != "sha256"} for e in sounds] == [
        {k: v for k, v in e.items() if k != "sha256"} for e in table
    ]
    assert len({e["id"] for e in table}) == len(table)


def test_a_pair_is_brought_together_octave_by_octave_and_no_farther_than_it_may() -> None:
    rng = np.random.default_rng(0)
    dark, bright = (shaped(rng, lambda f, p=power: ((f + 100) / 1_000) ** p) for power in (-0.6, 0.0))
    far = np.abs(octave_levels(dark) - octave_levels(bright)).max()
    near = [octave_levels(w.astype(float)) for w in matched(dark, bright)]
    assert far > 6
    assert np.abs(near[0] - near[1]).max() < far / 3
    hiss = shaped(rng, lambda f: (f > 2_000) + 1e-4)
    moved = octave_levels(matched(dark, hiss)[1].astype(float)) - octave_levels(hiss)
    assert np.ptp(moved) < 2 * MOST_DB + 1


def test_a_clip_that_would_be_clipped_is_refused() -> None:
    spike = np.zeros(SAMPLES)
    spike[SAMPLES // 2] = 1.0
    with pytest.raises(ValueError, match="too spiky"):
        matched(spike, spike)


def test_struck_things_sound_when_they_are_struck_and_at_their_pitch() -> None:
    bell = strokes((1.0,), [(440.0, 1.0, 2.0)])
    assert not bell[T < 1.0].any()
    spectrum = np.abs(np.fft.rfft(bell))
    assert spectrum.argmax() * RATE / SAMPLES == pytest.approx(440, abs=1)
    after = [np.abs(bell[(t + 1.0 <= T) & (t + 1.1 > T)]).max() for t in (0.1, 1.1)]
    assert 20 * np.log10(after[0] / after[1]) == pytest.approx(30, abs=1)  # 60 dB in two seconds
    blows = np.abs(thuds(np.random.default_rng(0), [0.5, 2.0], [1.0, 0.5], 60.0, 0.05))
    assert blows[T < 0.5].max() == 0
    assert blows[(T > 0.5) & (T < 0.7)].max() > 1.5 * blows[(T > 2.0) & (T < 2.2)].max() > 0


def test_a_path_goes_through_its_points() -> None:
    way = path(((0, 100), (1, 300), (2, 200)))
    assert way[[0, RATE, 2 * RATE, -1]] == pytest.approx([100, 300, 200, 200])
    assert np.abs(np.diff(way)).max() < 0.03  # no step


def entry(id_: str, modality: str) -> dict[str, str]:
    return {"id": id_, "modality": modality, "sha256": "1e5", "caption": 'A "thing".'}


def test_the_media_block_is_replaced_and_nothing_else() -> None:
    text = "# a comment\nid: x\nmedia: []  # later\n"
    one = [entry("a", "image")]
    once = replace_media(text, one)
    line = '  - {id: a, modality: image, sha256: "1e5", caption: "A \\"thing\\"."}\n'
    assert once == f"# a comment\nid: x\nmedia:\n{line}"
    assert replace_media(once, one) == once
    assert replace_media("id: x\n", one).startswith("id: x\nmedia:\n  - ")
    with pytest.raises(UsageError, match="last key"):
        replace_media("media: []\nid: x\n", one)


def test_entries_of_the_other_modality_stay_where_they_are() -> None:
    text = replace_media(replace_media("id: x\n", [entry("a", "image"), entry("b", "image")]), [entry("c", "audio")])
    assert [e["id"] for e in yaml.safe_load(text)["media"]] == ["a", "b", "c"]
    text = replace_media(text, [entry("d", "image")])
    assert [e["id"] for e in yaml.safe_load(text)["media"]] == ["d", "c"]
    assert [e["id"] for e in yaml.safe_load(replace_media(text, [entry("e", "audio")]))["media"]] == ["d", "e"]
    with pytest.raises(UsageError, match="does not stand on one line: - id: q"):
        replace_media("media:\n  - id: q\n    modality: audio\n", [entry("a", "image")])
