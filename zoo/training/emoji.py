"""Emoji as pictures and words: bitmaps out of the font, names, keywords and categories, and what is one picture.

The font is Debian's fonts-noto-color-emoji (SIL Open Font License 1.1). Its glyphs are bitmaps of 136 x 128 pixels
(table CBDT); sequences (flags, families, skin tones) are found by walking its ligatures (table GSUB).
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import emoji
from fontTools.ttLib import TTFont
from PIL import Image

from conceptprobe.errors import MissingError, UsageError

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
SIZE = 136
"""Pictures are square: the glyph in the middle of a transparent canvas."""

Codepoints = tuple[int, ...]

_VARIATION, _JOINER, _RIGHT = 0xFE0F, 0x200D, 0x27A1
_SKIN = range(0x1F3FB, 0x1F400)
_SEXES = {0x2640, 0x2642}
_MAN, _WOMAN, _PERSON, _BOY, _GIRL, _CHILD = 0x1F468, 0x1F469, 0x1F9D1, 0x1F466, 0x1F467, 0x1F9D2
_ONE_OF = {
    _MAN: _PERSON, _WOMAN: _PERSON, _BOY: _CHILD, _GIRL: _CHILD,
    0x1F474: 0x1F9D3, 0x1F475: 0x1F9D3,  # old man, old woman
    0x1F385: 0x1F385, 0x1F936: 0x1F385,  # Santa, Mrs. Claus
    0x1F478: 0x1FAC5, 0x1F934: 0x1FAC5,  # princess, prince: person with crown
    0x1F930: 0x1FAC4, 0x1FAC3: 0x1FAC4,  # pregnant woman, man: person
    0x1F483: 0x1F483, 0x1F57A: 0x1F483,  # woman, man dancing
    0x1F46B: 0x1F46A, 0x1F46C: 0x1F46A, 0x1F46D: 0x1F46A,  # couples holding hands: family
}  # fmt: skip


@dataclass(frozen=True)
class Emoji:
    """One glyph with its words."""

    codepoints: Codepoints
    name: str
    keywords: tuple[str, ...]
    category: str
    png: bytes

    @property
    def code(self) -> str:
        """Codepoints as file names have them: `1f468-200d-1f33e`."""
        return code(self.codepoints)

    @property
    def family(self) -> str:
        """What skin tone, sex and direction leave of it: the unit of the split."""
        return family(self.codepoints)

    def picture(self) -> Image.Image:
        """RGBA, SIZE x SIZE."""
        glyph = Image.open(io.BytesIO(self.png)).convert("RGBA")
        canvas = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
        canvas.paste(glyph, ((SIZE - glyph.width) // 2, (SIZE - glyph.height) // 2))
        return canvas


def code(codepoints: Codepoints) -> str:
    """Hexadecimal, joined by '-', without variation selectors."""
    return "-".join(f"{c:04x}" for c in codepoints if c != _VARIATION)


def family(codepoints: Codepoints) -> str:
    """The code of the glyph that all its skin tones, sexes and directions are variants of."""
    kept = [_ONE_OF.get(c, c) for c in codepoints if c != _VARIATION and c not in _SKIN]
    parts = " ".join(str(c) for c in kept).split(f" {_JOINER} ")
    plain = [p for p in parts if p not in {str(c) for c in (*_SEXES, _RIGHT)}]
    return code(tuple(int(c) for c in f" {_JOINER} ".join(plain).split()))


def read_emoji(font: Path, annotations: Path | None = None) -> list[Emoji]:
    """Every emoji the font has a bitmap for, in the order of their codepoints.

    Names are those of the package `emoji`; `annotations` (a CSV of codepoints, name, keywords, category, as CLDR has
    them) adds keywords and categories, which are empty without it. Raises MissingError where a file is not there.
    """
    for path in (font, annotations):
        if path is not None and not path.is_file():
            raise MissingError(f"no file {path}", hint="apt-get install fonts-noto-color-emoji, or give --font")
    bitmaps = _Bitmaps(font)
    words = _annotations(annotations) if annotations else {}
    found: dict[str, Emoji] = {}
    for text, data in emoji.EMOJI_DATA.items():
        codepoints = tuple(ord(c) for c in text)
        png = bitmaps.get(codepoints)
        key = code(codepoints)
        if png is None or key in found:
            continue
        name, keywords, category = words.get(key) or words.get(family(codepoints)) or ("", (), "")
        own = str(data["en"]).strip(":").replace("_", " ")
        found[key] = Emoji(codepoints, name or own, keywords, category or _category(own), png)
    return sorted(found.values(), key=lambda e: e.codepoints)


def _category(name: str) -> str:
    """For flags of countries, which CLDR's table of single glyphs does not list."""
    return "Flags" if name.startswith("flag") or name in _COUNTRIES else ""


_COUNTRIES = {
    str(data["en"]).strip(":").replace("_", " ")
    for text, data in emoji.EMOJI_DATA.items()
    if len(text) == 2 and all(0x1F1E6 <= ord(c) <= 0x1F1FF for c in text)
}


def _annotations(path: Path) -> dict[str, tuple[str, tuple[str, ...], str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return {
            code(tuple(int(c, 16) for c in row["codepoints"].split())): (
                row["name"],
                tuple(k for k in row["keywords"].split("|") if k),
                row["category"],
            )
            for row in csv.DictReader(handle)
        }


class _Bitmaps:
    """PNG of a sequence of codepoints, by the font's own character map and ligatures."""

    def __init__(self, path: Path) -> None:
        font = TTFont(path)
        if "CBDT" not in font:
            raise UsageError(f"{path} has no colour bitmaps (table CBDT)", hint="use fonts-noto-color-emoji")
        self.images = {name: glyph.imageData for name, glyph in font["CBDT"].strikeData[0].items()}
        self.characters = font.getBestCmap()
        self.ligatures: dict[str, list[tuple[list[str], str]]] = {}
        for lookup in font["GSUB"].table.LookupList.Lookup:
            for table in lookup.SubTable:
                table = getattr(table, "ExtSubTable", table)
                for first, rest in getattr(table, "ligatures", {}).items():
                    known = self.ligatures.setdefault(first, [])
                    known.extend((list(one.Component), one.LigGlyph) for one in rest)

    def get(self, codepoints: Codepoints) -> bytes | None:
        """None where the font draws it as more than one glyph, or not at all."""
        glyphs = [self.characters.get(c) for c in codepoints if c != _VARIATION or c in self.characters]
        for drop in (False, True):  # the font writes some sequences with variation selectors, and some without
            names = [g for g, c in zip(glyphs, codepoints, strict=False) if not (drop and c == _VARIATION)]
            if None not in names:
                whole = self._whole([str(g) for g in names])
                if whole in self.images:
                    return bytes(self.images[whole])
        return None

    def _whole(self, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        return next((glyph for rest, glyph in self.ligatures.get(names[0], ()) if rest == names[1:]), "")
