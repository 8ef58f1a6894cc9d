"""Pictures of concept files and pools: in step with their captions, whole in their units, and true where they ship."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from conceptprobe.errors import MissingError
from conceptprobe.stimuli import check_files, expand, expand_background_media, load_background, load_concept
from conceptprobe.stimuli.held_out import held_out_auroc, standardised
from conceptprobe.stimuli.media import kept, media_units
from conceptprobe.stimuli.pictures import read_picture
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.schema import Concept, Media
from conceptprobe.stimuli.stimulus import StimulusSet

Document = dict[str, Any]
Write = Callable[..., Path]
CONCEPTS = Path(__file__).parents[2] / "concepts"
NAMES = ("soul", "self", "consciousness")


def png(number: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def stored(folder: Path, name: str, content: bytes) -> dict[str, str]:
    """The keys that every entry has, for a file that is written here."""
    (folder / "media").mkdir(exist_ok=True)
    (folder / "media" / f"{name}.png").write_bytes(content)
    return {
        "id": name,
        "modality": "image",
        "path": f"media/{name}.png",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "CC0-1.0",
        "caption": f"A sheet of the shade {name}.",
    }


def pairs(folder: Path, n: int, groups: dict[int, str] | None = None) -> list[dict[str, str]]:
    """n pairs of pictures, m000p and m000c and so on."""
    entries = []
    for i, label in product(range(n), ("positive", "control")):
        entry = stored(folder, f"m{i:03}{label[0]}", png(2 * i + (label == "control")))
        entry |= {"label": label, "pair": f"mp{i:03}"}
        if label == "positive":
            entry["sense"] = "essence"
        if groups and i in groups:
            entry["group"] = groups[i]
        entries.append(entry)
    return entries


def background(folder: Path, n: int) -> list[dict[str, str]]:
    return [
        stored(folder, f"b{i:03}", png(10_000 + i)) | {"word": f"thing {i}", "category": f"kind{i % 3}"}
        for i in range(n)
    ]


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Problem]]:
    """All problems of files, without what is measured of sentences."""
    from conceptprobe.stimuli import difficulty

    monkeypatch.setattr(difficulty, "measure", lambda *_: difficulty.Difficulty(0, {}, {}))
    return lambda *paths: list(check_files(paths).problems)


def both(document: Document, write: Write) -> tuple[StimulusSet, StimulusSet]:
    sets = expand(load_concept(write(document)))
    return sets["pictures"], sets["captions"]


class TestOfAConcept:
    """The sets `pictures` and `captions`."""

    def test_captions_are_in_step_with_pictures(self, document: Document, write: Write, tmp_path: Path) -> None:
        document["media"] = pairs(tmp_path, 3, {1: "mg"})
        pictures, captions = both(document, write)
        for picture, caption, entry in zip(pictures, captions, document["media"], strict=True):
            assert (picture.id, caption.id) == (f"zoqa/pictures/{entry['id']}", f"zoqa/captions/{entry['id']}")
            assert (picture.modality, caption.modality) == ("image", "text")
            assert (picture.content, caption.content) == (entry["sha256"], entry["caption"])
            assert (Path(picture.file), caption.file) == (tmp_path / entry["path"], "")
            for key in ("role", "sense", "groups", "pair", "label", "lang"):
                assert getattr(picture, key) == getattr(caption, key)
            assert picture.role == entry["label"]
            assert picture.pair == entry["pair"]
            assert picture.group("group") == entry.get("group", "")

    def test_units_are_what_pairs_and_groups_link(self, document: Document, write: Write, tmp_path: Path) -> None:
        document["media"] = pairs(tmp_path, 5, {0: "ga", 1: "gb", 3: "ga"})
        pictures, _ = both(document, write)
        units = [s.group("unit") for s in pictures]
        assert units == [u for u in ("mp000", "mp001", "mp002", "mp000", "mp004") for _ in range(2)]

    def test_fingerprints_do_not_follow_the_folder(self, document: Document, write: Write, tmp_path: Path) -> None:
        document["media"] = pairs(tmp_path, 2)
        here = write(document)
        there = tmp_path / "elsewhere"
        shutil.copytree(tmp_path / "media", there / "media")
        shutil.copy(here, there)
        a, b = (expand(load_concept(path))["pictures"] for path in (here, there / here.name))
        assert a.stimuli[0].file != b.stimuli[0].file
        assert a.fingerprint == b.fingerprint
        document["media"][0] |= stored(tmp_path, "m000p", png(999))
        assert both(document, write)[0].fingerprint != a.fingerprint

    def test_a_picture_that_cannot_be_shown_takes_its_pair_along(
        self, document: Document, write: Write, tmp_path: Path, problems: Callable[..., list[Problem]]
    ) -> None:
        document["media"] = pairs(tmp_path, 42)
        document["media"][2] |= stored(tmp_path, "m001p", b"no picture")
        document["media"][9] |= stored(tmp_path, "m004c", png(3)[:50])
        path = write(document)
        pictures, captions = both(document, write)
        assert len(pictures) == len(captions) == 80
        assert {"mp001", "mp004"}.isdisjoint(s.pair for s in pictures)
        found = problems(path)
        assert [p.code for p in found] == ["CP055", "CP055"]
        assert "picture 'media/m001p.png' of entry 'm001p' is not a picture" in found[0].message
        assert found[0].message.endswith("; it is left out, with its pair")
        (report,) = check_files([path]).files
        assert report.media["pictures"] == {"positive": 40, "control": 40, "units": 40, "left_out": 4}

    def test_few_pictures_are_for_exploration_and_none_are_no_problem(
        self, document: Document, write: Write, tmp_path: Path, problems: Callable[..., list[Problem]]
    ) -> None:
        assert problems(write(document)) == []
        document["media"] = pairs(tmp_path, 40)
        assert problems(write(document)) == []
        document["media"] = pairs(tmp_path, 39)
        (problem,) = problems(write(document))
        assert (problem.code, problem.severity) == ("CP056", "warning")
        assert "every row on pictures will read 'exploratory'" in problem.message

    def test_no_media_no_sets(self, document: Document, write: Write) -> None:
        assert {"pictures", "captions"}.isdisjoint(expand(load_concept(write(document))))

    def test_a_file_that_has_gone_is_an_error(self, document: Document, write: Write, tmp_path: Path) -> None:
        document["media"] = pairs(tmp_path, 2)
        concept = load_concept(write(document))
        (tmp_path / "media" / "m001c.png").unlink()
        with pytest.raises(MissingError, match=r"'media/m001c\.png' of entry 'm001c' does not exist"):
            expand(concept)

    def test_a_concept_that_is_in_no_folder_has_pictures_without_files(
        self, document: Document, tmp_path: Path
    ) -> None:
        document["media"] = pairs(tmp_path, 2)
        pictures = expand(Concept.model_validate(document))["pictures"]
        assert [s.file for s in pictures] == [""] * 4

    def test_pictures_are_not_taken_for_texts(self, document: Document, write: Write, tmp_path: Path) -> None:
        document["media"] = pairs(tmp_path, 2)
        pictures, captions = both(document, write)
        assert captions.texts == [e["caption"] for e in document["media"]]
        with pytest.raises(ValueError, match="holds pictures or sounds"):
            _ = pictures.texts


class TestOfThePool:
    """Background pictures and their captions."""

    def test_rows_and_groups(self, pool: Document, write: Write, tmp_path: Path) -> None:
        pool["media"] = background(tmp_path, 5)
        sets = expand_background_media(load_background(write(pool)))
        assert list(sets) == ["background_pictures", "background_captions"]
        rows = zip(sets["background_pictures"], sets["background_captions"], pool["media"], strict=True)
        for picture, caption, entry in rows:
            assert picture.role == caption.role == "background"
            assert picture.groups == caption.groups
            assert {k: picture.group(k) for k in ("unit", "word", "category")} == {
                "unit": entry["word"],
                "word": entry["word"],
                "category": entry["category"],
            }
            assert (picture.content, caption.content) == (entry["sha256"], entry["caption"])
            assert read_picture(Path(picture.file), picture.content).size == (8, 8)

    def test_a_pool_without_pictures_has_no_sets(self, pool: Document, write: Write) -> None:
        assert expand_background_media(load_background(write(pool))) == {}

    def test_one_that_cannot_be_shown_is_left_out_alone(
        self, pool: Document, write: Write, tmp_path: Path, problems: Callable[..., list[Problem]]
    ) -> None:
        pool["media"] = background(tmp_path, 4)
        pool["media"][2] |= stored(tmp_path, "b002", b"")
        path = write(pool)
        assert len(expand_background_media(load_background(path))["background_pictures"]) == 3
        (problem,) = problems(path)
        assert problem.code == "CP055"
        assert problem.message.endswith("of entry 'b002' is empty: it has no bytes; it is left out")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"sha256": "0" * 64}, "CP041"),
            ({"path": "media/none.png"}, "CP040"),
            ({"path": "../b001.png"}, "CP040"),
            ({"licence": ""}, "CP042"),
            ({"modality": "audio"}, "CP005"),
            ({"word": "THING 0"}, "CP014"),
            ({"id": "b000"}, "CP010"),
            ({"label": "control"}, "CP001"),
        ],
    )
    def test_what_is_wrong_with_an_entry(
        self, change: Document, code: str, pool: Document, write: Write, tmp_path: Path, problems: Any
    ) -> None:
        pool["media"] = background(tmp_path, 3)
        pool["media"][1] |= change
        assert [p.code for p in problems(write(pool))] == [code]

    def test_no_picture_of_a_concept_is_in_the_pool(
        self, document: Document, pool: Document, write: Write, tmp_path: Path, problems: Any
    ) -> None:
        document["media"] = pairs(tmp_path, 40)
        pool["media"] = background(tmp_path, 3)
        pool["media"][1] |= stored(tmp_path, "b001", png(5))
        found = problems(write(pool, "background.yaml"), write(document, "mine.yaml"))
        assert [(p.code, Path(p.file).name) for p in found] == [("CP043", "background.yaml")]
        assert "is that of 'm002c' of" in found[0].message


@st.composite
def entries(draw: st.DrawFn) -> list[Media]:
    """Pairs in groups at random."""
    group_of = draw(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=1, max_size=12))
    return [
        Media(
            id=f"{label[0]}{i}",
            modality="image",
            path="x.png",
            sha256="0" * 64,
            licence="CC0-1.0",
            caption="A thing.",
            pair=f"p{i}",
            label=label,
            group=group,
        )
        for i, group in enumerate(group_of)
        for label in ("positive", "control")
    ]


@given(media=entries(), data=st.data())
def test_no_pair_and_no_group_is_ever_split(media: list[Media], data: st.DataObject) -> None:
    units = media_units(media)
    for one, other in product(media, media):
        linked = one.pair == other.pair or (one.group is not None and one.group == other.group)
        assert (units[one.id] == units[other.id]) == linked
    faulty = set(data.draw(st.lists(st.sampled_from([m.id for m in media]))))
    left = kept(media, faulty)
    assert Counter(m.label for m in left)["positive"] * 2 == len(left)
    assert faulty.isdisjoint(m.id for m in left)
    assert len(left) >= len(media) - 2 * len(faulty)


class TestShipped:
    """The concept files of this repository."""

    @pytest.mark.parametrize("name", NAMES)
    def test_there_are_enough_pictures_and_units(self, name: str) -> None:
        sets = expand(load_concept(CONCEPTS / f"{name}.yaml"))
        pictures = sets["pictures"]
        for role in ("positive", "control"):
            own = [s for s in pictures if s.role == role]
            assert len(own) >= 40
            assert len({s.group("unit") for s in own}) >= 20
        assert len(sets["captions"]) == len(pictures)
        both_labels = Counter(s.pair for s in pictures)
        assert set(both_labels.values()) == {2}

    @pytest.mark.parametrize("name", NAMES)
    def test_captions_of_both_labels_are_alike(self, name: str) -> None:
        captions = expand(load_concept(CONCEPTS / f"{name}.yaml"))["captions"]
        words = {role: [len(s.content.split()) for s in captions if s.role == role] for role in ("positive", "control")}
        means = {role: sum(n) / len(n) for role, n in words.items()}
        assert abs(means["positive"] - means["control"]) < 0.5
        assert len(set(captions.texts)) == len(captions)

    @pytest.mark.parametrize("name", NAMES)
    def test_no_words_of_captions_and_no_colours_give_the_label_away(self, name: str) -> None:
        sets = expand(load_concept(CONCEPTS / f"{name}.yaml"))
        units, labels = [s.group("unit") for s in sets["pictures"]], np.array(sets["pictures"].labels)
        words = TfidfVectorizer().fit_transform(sets["captions"].texts).toarray()
        pixels = [np.asarray(read_picture(Path(s.file)), float).reshape(-1, 3) for s in sets["pictures"]]
        colours = standardised(np.array([[*p.mean(0), *p.std(0)] for p in pixels]))
        for features in (words, colours):
            assert (held_out_auroc(features, labels, units) or 0) < 0.65

    def test_the_background_is_wide(self) -> None:
        pictures = expand_background_media(load_background(CONCEPTS / "background.yaml"))["background_pictures"]
        assert len(pictures) >= 250
        assert len({s.group("word") for s in pictures}) == len(pictures)
        assert len({s.group("category") for s in pictures}) >= 10

    def test_every_picture_is_what_it_says_and_belongs_to_something(self) -> None:
        sets = [expand(load_concept(CONCEPTS / f"{name}.yaml"))["pictures"] for name in NAMES]
        sets.append(expand_background_media(load_background(CONCEPTS / "background.yaml"))["background_pictures"])
        hash_of = {Path(s.file).name: s.content for stimuli in sets for s in stimuli}
        for name, sha256 in hash_of.items():
            assert read_picture(CONCEPTS / "media" / name, sha256).size == (136, 136)
        assert {p.name for p in (CONCEPTS / "media").glob("*.png")} == set(hash_of)
        licence = (CONCEPTS / "media" / "LICENSE-OFL.txt").read_text("utf-8")
        assert "SIL OPEN FONT LICENSE Version 1.1" in licence
        assert licence.startswith("Copyright")
