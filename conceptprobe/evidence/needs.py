"""Which activations each question reads: the one table from which a run, and its plan, know what to extract."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from conceptprobe.models.base import Kind, Pooling

_NETWORKS: tuple[Kind, ...] = ("trained", "twin")
Sites = Literal["all", "tokens", "embed"]


@dataclass(frozen=True)
class Need:
    """One set under some poolings, at all probe sites, at the token table, or at the one site of a static model."""

    questions: frozenset[str]
    set_name: str
    kind: Kind
    sites: Sites
    poolings: tuple[Pooling, ...]
    of_static: bool = False
    """True: also the twins of static models need it (only `shared` compares those)."""


def _needs() -> Iterator[Need]:
    probed = {"terms": ("encoded", "beyond_words"), "same_words": ("beyond_words",), "homonyms": ("beyond_words",)}
    for name, questions in probed.items():
        asked = frozenset(questions)
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("concept_span",))
        yield Need(asked, name, "trained", "tokens", ("mean", "context"))
        yield Need(asked, name, "static", "embed", ("concept_span", "mean", "context"))
    for name in ("sentences", "paraphrases"):
        asked = frozenset({"beyond_words"})
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("mean",))
        yield Need(asked, name, "trained", "tokens", ("mean",))
        yield Need(asked, name, "static", "embed", ("mean",))
    for name in ("background", "terms_in_pool"):
        asked = frozenset({"shared"})
        for kind in _NETWORKS:
            yield Need(asked, name, kind, "all", ("concept_span",), of_static=True)
        yield Need(asked, name, "static", "embed", ("concept_span",))


NEEDS: tuple[Need, ...] = tuple(_needs())


def needs_of(kind: Kind, questions: Collection[str], sets: Collection[str], *, static: bool = False) -> list[Need]:
    """What a model of that kind must provide for these questions; `static`: it is the twin of a static model."""
    return [
        need
        for need in NEEDS
        if need.kind == kind
        and need.set_name in sets
        and need.questions & set(questions)
        and (not static or need.of_static or kind == "static")
    ]
