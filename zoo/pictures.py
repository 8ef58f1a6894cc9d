"""Choose and render the picture stimuli: zoo/pictures.yaml -> concepts/media, and the media blocks of the concept files.

    python -m zoo.pictures --annotations annotations.csv

The choice is checked first (`problems_of` is the list of its rules); nothing is written where it breaks one. Then every
glyph is rendered from the font, and the `media` block, which ends each concept file, is written anew.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import yaml
from fontTools.ttLib import TTFont
from PIL import Image

from conceptprobe.errors import ConceptprobeError, MissingError, UsageError
from conceptprobe.files import write_bytes, write_text
from conceptprobe.stimuli.schema import Frozen
from conceptprobe.stimuli.units import components
from zoo.media_block import replace_media
from zoo.training.card import command_line
from zoo.training.emoji import FONT, SIZE, Emoji, read_emoji

ZOO = Path(__file__).parent
COPYRIGHT = Path("/usr/share/doc/fonts-noto-color-emoji/copyright")
LICENCE = "OFL-1.1"
COLOURS = 256

MIN_PAIRS, MIN_UNITS, MIN_BACKGROUND, MIN_CATEGORIES = 42, 25, 265, 10
MAX_TWICE_POSITIVE = 3
FAMILIES = (400, 460)
MOST = {"Animals & Nature": 70, "Food & Drink": 60, "Smileys & Emotion": 50}
"""Families of a category that may be stimuli. Of every other one, half: the models are trained on what is left."""
CAPTION_WORDS = (4, 9)
MAX_CAPTION_DIFFERENCE = 0.5
"""Words by which the mean captions of positives and controls may differ."""
SEEING = re.compile(
    r"\b(see[ns]?|look(s|ing)?|show(s|n|ing)?|depict\w*|view(ed|ing)|picture[ds]?|images?|emoji\w*)\b", re.I
)
NAMES = re.compile(r"\b(souls?|spirits?|self|selves|selfies?|\w+sel(f|ves)|conscious\w*|minds?|mindful\w*)\b", re.I)
"""What no caption says: the concepts' own names."""


class Pair(Frozen):
    """A picture of the concept and a near control of the same kind of picture."""

    pair: str
    positive: str
    control: str
    sense: str
    group: str | None = None
    """Pairs of one group are never split between folds."""


class Thing(Frozen):
    """A background picture, and the word that names it."""

    code: str
    word: str
    category: str


class Choice(Frozen):
    """The whole of zoo/pictures.yaml."""

    concepts: dict[str, tuple[Pair, ...]]
    background: tuple[Thing, ...]
    captions: dict[str, str]

    @property
    def concept_codes(self) -> list[str]:
        """Every picture of a concept file, once."""
        return list(
            dict.fromkeys(c for pairs in self.concepts.values() for p in pairs for c in (p.positive, p.control))
        )

    @property
    def codes(self) -> list[str]:
        """Every picture, once."""
        return list(dict.fromkeys([*self.concept_codes, *(t.code for t in self.background)]))


def read_choice(path: Path) -> Choice:
    """The choice as it is written. Raises MissingError; pydantic says what does not have the right shape."""
    if not path.is_file():
        raise MissingError(f"no file {path}")
    return Choice.model_validate(yaml.safe_load(path.read_text("utf-8")))


def problems_of(choice: Choice, emoji: Sequence[Emoji]) -> list[str]:
    """Every rule that the choice breaks, one line each."""
    known = {e.code: e for e in emoji}
    unknown = [f"no glyph {code!r} in the font" for code in choice.codes if code not in known]
    if unknown:
        return unknown
    families = {code: known[code].family for code in choice.codes}
    found: list[str] = []
    for name, pairs in choice.concepts.items():
        found += _pairs(name, pairs, families)
    found += _background(choice, families)
    found += _split(choice, known)
    found += _captions(choice)
    return found


def _pairs(name: str, pairs: Sequence[Pair], families: Mapping[str, str]) -> Iterator[str]:
    if len(pairs) < MIN_PAIRS:
        yield f"{name}: {len(pairs)} pairs, at least {MIN_PAIRS}"
    if len({p.pair for p in pairs}) < len(pairs):
        yield f"{name}: a name of a pair is there twice"
    units = len(set(components([{("pair", p.pair), ("group", p.group or p.pair)} for p in pairs])))
    if units < MIN_UNITS:
        yield f"{name}: {units} independent units, at least {MIN_UNITS}"
    uses = Counter(families[code] for p in pairs for code in (p.positive, p.control))
    yield from (f"{name}: family {f} is there {n} times" for f, n in uses.items() if n > 1)


def _background(choice: Choice, families: Mapping[str, str]) -> Iterator[str]:
    positives = Counter(p.positive for pairs in choice.concepts.values() for p in pairs)
    if (n := sum(k > 1 for k in positives.values())) > MAX_TWICE_POSITIVE:
        yield f"{n} pictures are positive in two concepts, at most {MAX_TWICE_POSITIVE}"
    things = choice.background
    if len(things) < MIN_BACKGROUND:
        yield f"background: {len(things)} pictures, at least {MIN_BACKGROUND}"
    if (n := len({t.category for t in things})) < MIN_CATEGORIES:
        yield f"background: {n} categories, at least {MIN_CATEGORIES}"
    for what, values in (("word", [t.word for t in things]), ("family", [families[t.code] for t in things])):
        yield from (f"background: {what} {v!r} is there {n} times" for v, n in Counter(values).items() if n > 1)
    of_concepts = {families[code] for code in choice.concept_codes}
    yield from (f"background: {t.word!r} is a picture of a concept" for t in things if families[t.code] in of_concepts)


def _split(choice: Choice, known: Mapping[str, Emoji]) -> Iterator[str]:
    category = {e.family: e.category for e in reversed(list(known.values()))}
    chosen = {known[code].family for code in choice.codes}
    if not FAMILIES[0] <= len(chosen) <= FAMILIES[1]:
        yield f"{len(chosen)} families are held out of training; {FAMILIES[0]} to {FAMILIES[1]} may be"
    held = Counter(category[f] for f in chosen)
    for name, n in Counter(category.values()).items():
        most = MOST.get(name, n // 2)
        if name and held[name] > most:
            yield f"{held[name]} of {n} families of {name!r} are held out of training; at most {most}"


def _captions(choice: Choice) -> Iterator[str]:
    captions = choice.captions
    yield from (f"caption of {c}: no such picture is chosen" for c in captions.keys() - set(choice.codes))
    missing = [code for code in choice.codes if code not in captions]
    yield from (f"no caption of {code}" for code in missing)
    yield from (f"caption {text!r} is there {n} times" for text, n in Counter(captions.values()).items() if n > 1)
    for code, text in captions.items():
        low, high = CAPTION_WORDS
        if not low <= len(text.split()) <= high:
            yield f"caption of {code} has {len(text.split())} words, not {low} to {high}"
        if not re.fullmatch(r"[A-Z].*[^.]\.", text):
            yield f"caption of {code} is no sentence: {text!r}"
        yield from (f"caption of {code} says {word[0]!r}" for rule in (SEEING, NAMES) if (word := rule.search(text)))
    if missing:
        return
    for name, pairs in choice.concepts.items():
        positive, control = (fmean(len(captions[c].split()) for c in cs) for cs in _sides(pairs))
        if abs(positive - control) >= MAX_CAPTION_DIFFERENCE:
            yield f"{name}: captions of positives have {positive:.2f} words, of controls {control:.2f}"
    for thing in choice.background:
        if thing.word.casefold() not in captions[thing.code].casefold():
            yield f"caption of {thing.code} does not hold its word {thing.word!r}"


def _sides(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    return [p.positive for p in pairs], [p.control for p in pairs]


def rendered(emoji: Emoji) -> bytes:
    """A palette PNG of SIZE x SIZE pixels on white: the same bytes for the same glyph, Pillow and zlib."""
    canvas = Image.new("RGBA", (SIZE, SIZE), "white")
    canvas.alpha_composite(emoji.picture())
    buffer = io.BytesIO()
    small = canvas.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def concept_entries(pairs: Sequence[Pair], entry: Mapping[str, dict[str, str]]) -> Iterator[dict[str, str]]:
    """Entries of a concept file's media block, the positive of each pair before its control."""
    for p in pairs:
        more = {"pair": p.pair} | ({"group": p.group} if p.group else {})
        yield entry[p.positive] | {"label": "positive", "sense": p.sense} | more
        yield entry[p.control] | {"label": "control"} | more


def background_entries(things: Sequence[Thing], entry: Mapping[str, dict[str, str]]) -> Iterator[dict[str, str]]:
    """Entries of the pool's media block."""
    for t in things:
        yield entry[t.code] | {"word": t.word, "category": t.category}


def held_out_text(codes: Sequence[str], known: Mapping[str, Emoji]) -> str:
    """Sorted families, one a line, with a name for people."""
    families = sorted({known[code].family for code in codes})
    head = "# Families of emoji that are stimuli (zoo/pictures.yaml) and are therefore never shown in training. "
    names = (f"{f}  # {known[f].name if f in known else ''}".rstrip() for f in families)
    return head + "Written by zoo/pictures.py.\n" + "\n".join(names) + "\n"


def licence_text(debian: str, owner: str) -> str:
    """The OFL out of Debian's copyright file, under the copyright line of the font. Raises UsageError without it."""
    match = re.search(r"^License: +SIL-1\.1\n((?: .*\n)+)", debian, re.M)
    if match is None:
        raise UsageError("the copyright file holds no text of the SIL Open Font License", hint="give --copyright")
    lines = ("" if line == " ." else line[1:] for line in match[1].splitlines())
    return f"{owner}\n\n" + "\n".join(lines).strip() + "\n"


def write_all(choice: Choice, known: Mapping[str, Emoji], out: Path) -> int:
    """Pictures and media blocks; returns how many bytes the pictures have."""
    (out / "media").mkdir(parents=True, exist_ok=True)
    for old in (out / "media").glob("*.png"):
        if old.stem not in choice.codes:
            old.unlink()
    entry: dict[str, dict[str, str]] = {}
    size = 0
    for code in choice.codes:
        content = rendered(known[code])
        size += len(content)
        write_bytes(out / "media" / f"{code}.png", content)
        entry[code] = {
            "id": f"pic-{re.sub(r'[^a-z0-9]+', '-', known[code].name.casefold()).strip('-')}",
            "modality": "image",
            "path": f"media/{code}.png",
            "sha256": hashlib.sha256(content).hexdigest(),
            "licence": LICENCE,
            "caption": choice.captions[code],
        }
    blocks = {name: list(concept_entries(pairs, entry)) for name, pairs in choice.concepts.items()}
    for name, entries in {**blocks, "background": list(background_entries(choice.background, entry))}.items():
        path = out / f"{name}.yaml"
        write_text(path, replace_media(path.read_text("utf-8"), entries))
    return size


def card(choice: Choice, font: Path, names: Mapping[int, str], size: int, argv: Sequence[str] | None) -> str:
    """README.md of the folder of pictures."""
    pairs = ", ".join(f"{len(p)} pairs for {name}" for name, p in choice.concepts.items())
    categories = len({t.category for t in choice.background})
    digest = hashlib.sha256(font.read_bytes()).hexdigest()
    return f"""# Picture stimuli

{len(choice.codes)} glyphs of {names[1]}, rendered at {SIZE} x {SIZE} pixels on white with {COLOURS} colours
({size / 1e6:.1f} MB): {pairs}, and {len(choice.background)} background pictures of {categories} categories.
A picture may serve several concepts: {len(choice.concept_codes)} different ones serve them all.

| | |
| --- | --- |
| font | {names[1]}, {names[5]} |
| sha256 of the font | `{digest}` |
| copyright | {names[0]} |
| licence | SIL Open Font License 1.1 (`LICENSE-OFL.txt`) |
| chosen and captioned in | `zoo/pictures.yaml`, by hand, without running any model |
| kept from all training | `zoo/held_out.txt` |

A positive is what a person would accept as evocative of the concept; its control is of the same kind of picture (animal
with animal, building with building, face with face, sign with sign). Captions of both labels are alike in length and
words: on units it has not seen, a bag of their words tells the label about as well as chance.

All are drawings of one hand in one style: what holds for them need not hold for photographs.

Made by

    {command_line("zoo.pictures", argv)}

with Pillow {version("pillow")}.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Check, and write everything where nothing is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotations", type=Path, required=True, help="CSV of codepoints, name, keywords, category")
    parser.add_argument("--font", type=Path, default=FONT)
    parser.add_argument("--copyright", type=Path, default=COPYRIGHT, help="Debian's copyright file of the font")
    parser.add_argument("--out", type=Path, default=ZOO.parent / "concepts", help="folder of the concept files")
    parser.add_argument("--check", action="store_true", help="check the choice, write nothing")
    options = parser.parse_args(argv)
    choice = read_choice(ZOO / "pictures.yaml")
    emoji = read_emoji(options.font, options.annotations)
    if found := problems_of(choice, emoji):
        raise UsageError("\n".join(found), hint="mend zoo/pictures.yaml; nothing was written")
    if options.check:
        return
    known = {e.code: e for e in emoji}
    names = {r.nameID: r.toUnicode() for r in TTFont(options.font, lazy=True)["name"].names}
    size = write_all(choice, known, options.out)
    media = options.out / "media"
    write_text(media / "LICENSE-OFL.txt", licence_text(options.copyright.read_text("utf-8"), names[0]))
    write_text(media / "README.md", card(choice, options.font, names, size, argv))
    write_text(ZOO / "held_out.txt", held_out_text(choice.codes, known))
    print(f"{len(choice.codes)} pictures, {size / 1e6:.2f} MB", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except ConceptprobeError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}" if error.hint else f"error: {error.message}")
