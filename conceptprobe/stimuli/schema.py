"""The shape of a concept file and of a background pool; unknown keys are errors, and nothing changes after loading.

Only shape lives here: types, ranges, single strings. What needs two entries or a text's words is a rule in `rules/`.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints


def _one_line(text: str) -> str:
    if text != text.strip() or any(c in text for c in "\n\r\t\x85\u2028\u2029"):
        raise ValueError("must be one line without spaces at its ends")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _composed(text: str) -> str:
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("must be in Unicode's composed form (NFC), each letter with its accent one character")
    return text


def _spelled(pattern: str, says: str) -> AfterValidator:
    """A check of the whole string, with a message in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {says}")
        return text

    return AfterValidator(check)


Id = Annotated[
    str,
    _spelled(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "up to 64 letters, digits, '_', '.' and '-', a letter or digit first"),
]
"""Ids become parts of file names and cells of tables."""
ConceptId = Annotated[str, _spelled(r"[a-z0-9][a-z0-9_-]{0,63}", "up to 64 lower-case letters, digits, '_' and '-'")]
"""Id of a file; names the folder of its results."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_one_line)]
"""What a model reads: one line, nothing around it."""
Composed = Annotated[Text, AfterValidator(_composed)]
"""Text in Unicode's composed form: an accent that is a character of its own is other tokens to a model."""
Prose = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_not_blank)]
"""What people read."""
Lang = Annotated[str, _spelled(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*", "a language tag such as en or pt-BR")]
"""Language tag (BCP 47): `en`, `de`, `pt-BR`."""
Sha256 = Annotated[str, _spelled(r"[0-9a-f]{64}", "the file's sha256: 64 digits 0-9 and a-f")]
Position = Literal["early", "middle", "late"]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Label = Literal["positive", "control"]


class Frozen(BaseModel):
    """Base of everything in a file: read once, never changed, no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(Frozen):
    """A work the definition or the stimuli rest on."""

    key: Id
    text: Prose


class Sense(Frozen):
    """One meaning of the concept word."""

    id: Id
    role: Literal["target", "homonym", "idiom"]
    """`target`: the concept; `homonym`: another meaning; `idiom`: a fixed phrase that uses the word."""
    gloss: Prose


class SmallestEffect(Frozen):
    """Smallest effect of interest per question, on the scale of the effect (differences of AUROCs or scores)."""

    encoded: Annotated[Number, Field(gt=0, le=0.5)] = 0.10
    beyond_words: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    shared: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    crossmodal: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    decomposed: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    causal: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    emergent: Annotated[Number, Field(gt=0, le=0.5)] = 0.05


class Controls(Frozen):
    """How the two tiers of control terms were chosen."""

    near: Prose
    """Abstract nouns of the human world which are not the concept."""
    far: Prose
    """Concrete things."""


class Splits(Frozen):
    """Numbers of folds: whole units of terms by one, templates by the other."""

    term_folds: Annotated[int, Field(strict=True, ge=2, le=20)] = 5
    template_folds: Annotated[int, Field(strict=True, ge=2, le=10)] = 3


class Template(Frozen):
    """A sentence with one slot, `{term}` in a concept file and `{word}` in a background pool."""

    id: Id
    position: Position
    """Where the slot is: in the first, second or last third of the words, roughly."""
    text: Text
    lang: Lang | None = None


class Triple(Frozen):
    """Matched terms for one slot: the concept, an abstract control, a concrete control. Bare noun phrases."""

    id: Id
    positive: Text
    near: Text
    far: Text
    sense: Id
    """A target sense: what `positive` names."""
    lang: Lang | None = None


class Sentence(Frozen):
    """A free sentence which names the concept (positive) or, in the same scene, something else (control)."""

    id: Id
    label: Label
    group: Id
    """The scene. Whole groups are held out together."""
    sense: Id | None = None
    """A target sense where the label is positive; none otherwise."""
    span: Text
    """The word or phrase the sentence is about, exactly as it stands in the text, once."""
    text: Text
    lang: Lang | None = None


class Translation(Frozen):
    """An entry of `sentences` in another language: label, group and sense are those of the original."""

    id: Id
    of: Id
    """Id of the original."""
    lang: Lang
    span: Composed
    """The word or phrase that stands for the span of the original, exactly as it stands in the text, once."""
    text: Composed


class Paraphrase(Frozen):
    """A sentence which evokes the concept without naming it (positive), or evokes something else alike (control)."""

    id: Id
    label: Label
    group: Id
    sense: Id | None = None
    text: Text
    lang: Lang | None = None


class SameWords(Frozen):
    """Two sentences of the same content words in which one string has two senses: only composition tells them apart."""

    id: Id
    span: Text
    """The concept word as it stands, once, in both sentences."""
    target_sense: Id
    other_sense: Id
    target: Text
    other: Text
    lang: Lang | None = None


class Homonym(Frozen):
    """A free context of the concept word, in a target sense or in another one."""

    id: Id
    label: Literal["target", "other"]
    sense: Id
    group: Id
    span: Text
    text: Text
    lang: Lang | None = None


class Media(Frozen):
    """A picture or a sound, as a file beside the concept file."""

    id: Id
    modality: Literal["image", "audio"]
    path: Text
    """Relative to the concept file, inside its folder."""
    sha256: Sha256
    licence: Prose
    caption: Text
    """A sentence which says what is there: the other half of a text-media pair."""
    pair: Id
    """Links entries which are matched across labels or modalities; never split."""
    label: Label
    sense: Id | None = None
    group: Id | None = None


class InFolder(Frozen):
    """A whole file, which knows the folder it was read from: paths of media start there."""

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where the file lies; None for a file that was not read from disk."""
        return self._folder


class Concept(InFolder):
    """One concept, complete: what a run reads."""

    schema_number: Literal[1] = Field(alias="schema")
    kind: Literal["concept"] = "concept"
    id: ConceptId
    version: Prose
    name: Text
    """The bare word, as the concept card shows it."""
    lang: Lang
    definition: Prose
    """What counts as the concept in this file, and what does not."""
    citations: tuple[Citation, ...]
    licence: Prose
    senses: tuple[Sense, ...]
    smallest_effect: SmallestEffect
    controls: Controls
    splits: Splits
    templates: tuple[Template, ...]
    terms: tuple[Triple, ...]
    sentences: tuple[Sentence, ...]
    translations: tuple[Translation, ...] = ()
    paraphrases: tuple[Paraphrase, ...]
    same_words: tuple[SameWords, ...] = ()
    homonyms: tuple[Homonym, ...] = ()
    media: tuple[Media, ...] = ()

    @property
    def target_senses(self) -> frozenset[str]:
        """Ids of the senses which are the concept."""
        return frozenset(s.id for s in self.senses if s.role == "target")


class BackgroundWord(Frozen):
    """A word of the pool, with what control sets are matched on."""

    word: Text
    zipf: Annotated[Number, Field(ge=0, le=9)]
    """log10 of occurrences per billion words (wordfreq)."""
    concreteness: Annotated[Number, Field(ge=1, le=5)]
    """1 (abstract) to 5 (concrete), on the scale the file describes."""


class Category(Frozen):
    """Words of one kind."""

    id: Id
    about: Prose
    words: tuple[BackgroundWord, ...]


class Picture(Frozen):
    """A background picture: a file beside the pool, and the word that names what it shows."""

    id: Id
    modality: Literal["image"]
    path: Text
    """Relative to the pool's file, inside its folder."""
    sha256: Sha256
    licence: Prose
    caption: Text
    """A sentence which says what is there."""
    word: Text
    """What anybody would call it; no other picture of the pool has the same word."""
    category: Id


class Background(InFolder):
    """The pool: ordinary words in neutral templates, in which a concept's neighbours are looked for."""

    schema_number: Literal[1] = Field(alias="schema")
    kind: Literal["background"]
    id: ConceptId
    version: Prose
    lang: Lang
    definition: Prose
    concreteness_scale: Prose
    citations: tuple[Citation, ...]
    licence: Prose
    templates: tuple[Template, ...]
    categories: tuple[Category, ...]
    media: tuple[Picture, ...] = ()

    @property
    def words(self) -> tuple[BackgroundWord, ...]:
        """All words, category by category."""
        return tuple(w for c in self.categories for w in c.words)
