"""The choice of pictures in zoo/pictures.yaml, and the checker that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conceptprobe.errors import UsageError

pytest.importorskip("emoji", reason="reads the choice with the training scripts' own packages")
pytest.importorskip("fontTools")
pictures = pytest.importorskip("zoo.pictures")
emoji_module = pytest.importorskip("zoo.training.emoji")

ZOO = Path(pictures.__file__).parent
MEDIA = ZOO.parent / "concepts" / "media"
Spoil = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def choice() -> Any:
    return pictures.read_choice(ZOO / "pictures.yaml")


def glyphs(codes: list[str], category: str = "") -> list[Any]:
    """Emoji without bitmaps or names: no font is needed to count them."""
    points = [tuple(int(c, 16) for c in code.split("-")) for code in codes]
    return [emoji_module.Emoji(p, "", (), category, b"") for p in points]


def test_the_choice_keeps_every_rule(choice: Any) -> None:
    assert pictures.problems_of(choice, glyphs(choice.codes)) == []


def test_what_is_chosen_is_what_is_held_out_of_training(choice: Any) -> None:
    lines = (ZOO / "held_out.txt").read_text("utf-8").splitlines()
    families = [line.partition("#")[0].strip() for line in lines]
    chosen = {g.family for g in glyphs(choice.codes)}
    assert sorted(chosen) == [f for f in families if f]


def test_concepts_and_background_share_no_family(choice: Any) -> None:
    of_concepts = {g.family for g in glyphs(choice.concept_codes)}
    assert of_concepts.isdisjoint(g.family for g in glyphs([t.code for t in choice.background]))


def one_label_twice(c: dict[str, Any]) -> None:
    c["concepts"]["soul"][1]["control"] = c["concepts"]["soul"][0]["positive"]


def variant_of_a_positive(c: dict[str, Any]) -> None:
    """The same gesture in another skin tone is the same picture."""
    c["concepts"]["soul"][0]["control"] = "1f64f-1f3fb"
    c["captions"]["1f64f-1f3fb"] = "Two pale hands pressed together."


def all_one_group(c: dict[str, Any]) -> None:
    for pair in c["concepts"]["self"]:
        pair["group"] = "self-all"


def longer_captions(c: dict[str, Any]) -> None:
    for pair in c["concepts"]["consciousness"][:25]:
        code = pair["positive"]
        c["captions"][code] = " ".join([*c["captions"][code].split()[:-1], "and", "so."])


SPOILED: dict[str, tuple[Spoil, str]] = {
    "unknown glyph": (lambda c: c["background"][0].update(code="1f9ff9"), "no glyph '1f9ff9' in the font"),
    "few pairs": (lambda c: c["concepts"]["soul"].pop(), "soul: 41 pairs, at least 42"),
    "pair twice": (lambda c: c["concepts"]["soul"][3].update(pair="soul-p01"), "a name of a pair is there twice"),
    "two labels": (one_label_twice, "soul: family 1f47b is there 2 times"),
    "a variant": (variant_of_a_positive, "soul: family 1f64f is there 2 times"),
    "few units": (all_one_group, "self: 1 independent units, at least 25"),
    "few things": (lambda c: c["background"].pop(), "background: 264 pictures"),
    "one word twice": (lambda c: c["background"][1].update(word="fox"), "word 'fox' is there 2 times"),
    "of a concept": (lambda c: c["background"][0].update(code="1f47b"), "'fox' is a picture of a concept"),
    "no caption": (lambda c: c["captions"].pop("1f47b"), "no caption of 1f47b"),
    "caption of nothing": (lambda c: c["captions"].update(ffff="A thing of no use."), "caption of ffff: no such"),
    "long caption": (
        lambda c: c["captions"].update({"1f47b": "A white ghost that sticks out its long and pink tongue."}),
        "has 11 words, not 4 to 9",
    ),
    "no sentence": (lambda c: c["captions"].update({"1f47b": "white ghost with tongue"}), "is no sentence"),
    "a verb of seeing": (lambda c: c["captions"].update({"1f47b": "A picture of a ghost."}), "says 'picture'"),
    "the concept's name": (lambda c: c["captions"].update({"1f47b": "A lost soul in white."}), "says 'soul'"),
    "a caption twice": (
        lambda c: c["captions"].update({"1f47b": c["captions"]["26c4"]}),
        "is there 2 times",
    ),
    "unlike captions": (longer_captions, "consciousness: captions of positives have"),
    "word not in caption": (lambda c: c["background"][0].update(word="vixen"), "does not hold its word 'vixen'"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_each_broken_rule_is_found(case: str, choice: Any) -> None:
    spoil, says = SPOILED[case]
    document = choice.model_dump(mode="json")
    spoil(document)
    spoiled = pictures.Choice.model_validate(document)
    codes = [c for c in spoiled.codes if c != "1f9ff9"]
    found = pictures.problems_of(spoiled, glyphs(codes))
    assert any(says in line for line in found), found


def test_half_of_every_category_is_left_for_training(choice: Any) -> None:
    category = "Animals & Nature"
    emoji = [*glyphs(choice.codes[:71], category), *glyphs(choice.codes[71:])]
    assert "71 of 71 families of 'Animals & Nature'" in "\n".join(pictures.problems_of(choice, emoji))
    emoji = [*glyphs(choice.codes[:3], "Flags"), *glyphs(choice.codes[3:]), *glyphs(["ffff1", "ffff2"], "Flags")]
    assert "3 of 5 families of 'Flags' are held out of training; at most 2" in pictures.problems_of(choice, emoji)


def test_the_licence_is_taken_out_of_the_copyright_file() -> None:
    debian = (
        "Files: *\nLicense:   SIL-1.1\n\nLicense:   SIL-1.1\n First line.\n .\n Last line.\n\nLicense: other\n Text.\n"
    )
    assert pictures.licence_text(debian, "Copyright X") == "Copyright X\n\nFirst line.\n\nLast line.\n"
    with pytest.raises(UsageError, match="no text of the SIL"):
        pictures.licence_text("License: MIT\n Text.\n", "Copyright X")


@pytest.mark.skipif(not emoji_module.FONT.is_file(), reason="the font is not installed")
def test_what_ships_is_what_the_font_holds(choice: Any) -> None:
    known = {e.code: e for e in emoji_module.read_emoji(emoji_module.FONT)}
    for code in choice.codes[::40]:
        made = pictures.rendered(known[code])
        assert made == pictures.rendered(known[code])
        pixels = [np.asarray(Image.open(f).convert("RGB"), float) for f in (BytesIO(made), MEDIA / f"{code}.png")]
        assert np.abs(pixels[0] - pixels[1]).mean() < 1  # another Pillow may choose another palette
