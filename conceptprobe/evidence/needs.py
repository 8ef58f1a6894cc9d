"""Which activations each question reads: the one table from which a run, and its plan, know what to extract."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from conceptprobe.models.base import Kind, Pooling

_NETWORKS: tuple[Kind, ...] = ("trained", "twin")
Sites = Literal["all", "tokens", "embed", "pooled", "proxies"]
PROJECTION = "projection"
"""Not a question: what the picture of a joint model's space reads, of its two towers alone."""
READ_WHOLE = ("sentences", "masked", "paraphrases", "translations")
"""Sentences with the concept's name, without it, without any name of it, and in another language: read as wholes."""
OPTIONAL = frozenset({"translations"})
"""Sets that a model may be unable to read (too long for its positions) without being left out itself."""
HALVES = {"text": ("captions", "background_captions"), "image": ("pictures", "background_pictures")}
"""Modality -> its half of the captioned pictures, the concept's and the background's."""


@dataclass(frozen=True)
class Reading:
    """What `encoded` asks a model of one modality to tell apart, and how; `differ`: what else differs between the two."""

    set_name: str
    pooling: Pooling
    split: str
    differ: str


TERMS = "terms x templates, {} controls"
READINGS = {
    "text": Reading("terms", "concept_span", TERMS.format("near"), "words differ"),
    "image": Reading("pictures", "mean", "pictures, near controls", "pictures differ in colour and outline"),
    "audio": Reading("sounds", "mean", "sounds, near controls", "sounds differ in pitch, timbre and rhythm"),
}
"""Modality -> its reading, in the order of the rows."""


@dataclass(frozen=True)
class Need:
    """One set under some poolings, at all probe sites, at the token table, at the one site of a static model, or at the
    model's own output.

    A model needs the sets of its own modality: captions go to text models, pictures to image models, sounds to audio
    models.
    """

    questions: frozenset[str]
    set_name: str
    kind: Kind
    sites: Sites
    poolings: tuple[Pooling, ...]
    modality: str = "text"
    of_static: bool = False
    """True: also the twins of static models need it (`shared` and `crossmodal` compare those)."""


def _needs() -> Iterator[Need]:
    probed = {"terms": ("encoded", "beyond_words"), "same_words": ("beyond_words",), "homonyms": ("beyond_words",)}
    for name, questions in probed.items():
        asked = frozenset(questions)
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("concept_span",))
        yield Need(asked, name, "trained", "tokens", ("mean", "context"))
        yield Need(asked, name, "static", "embed", ("concept_span", "mean", "context"))
        yield Need(asked, name, "static", "proxies", ("concept_span", "context"))
    asked = frozenset({"beyond_words"})
    for name in READ_WHOLE:
        # Sentences that name the concept are read at its name, too: what is learnt there is tried on the pairs.
        spans: tuple[Pooling, ...] = ("concept_span",) if name == "sentences" else ()
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("mean", *spans))
        yield Need(asked, name, "trained", "tokens", ("mean", *(("context",) if spans else ())))
        yield Need(asked, name, "static", "embed", ("mean", *spans, *(("context",) if spans else ())))
        yield Need(asked, name, "static", "proxies", ("mean", *spans, *(("context",) if spans else ())))
    for name in ("background", "terms_in_pool"):
        asked = frozenset({"shared"})
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("concept_span",), of_static=True)
        yield Need(asked, name, "static", "embed", ("concept_span",))
        yield Need(asked, name, "static", "proxies", ("concept_span",))
    for kind in _NETWORKS:
        # Its facets: do the senses keep their relations?
        yield Need(asked, "homonyms", kind, "all", ("concept_span",))
    for name in ("captions", "background_captions"):
        asked = frozenset({"crossmodal"})
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("mean",), of_static=True)
        yield Need(asked, name, "static", "embed", ("mean",))
    for modality, name, questions in (
        ("image", "pictures", ("encoded", "crossmodal")),
        ("image", "background_pictures", ("crossmodal",)),
        ("audio", "sounds", ("encoded",)),
    ):
        for kind in _NETWORKS:
            yield Need(frozenset(questions), name, kind, "all", ("mean",), modality)
    for modality, names in HALVES.items():
        for name in names:
            yield Need(frozenset({PROJECTION}), name, "trained", "pooled", ("mean",), modality)


NEEDS: tuple[Need, ...] = tuple(_needs())


def needs_of(
    kind: Kind, modality: str, questions: Collection[str], sets: Collection[str], *, static: bool = False
) -> list[Need]:
    """What a model of that kind and modality must provide for these questions; `static`: a static model's twin."""
    return [
        need
        for need in NEEDS
        if need.kind == kind
        and need.modality == modality
        and need.set_name in sets
        and need.questions & set(questions)
        and (not static or need.of_static or kind == "static")
    ]
