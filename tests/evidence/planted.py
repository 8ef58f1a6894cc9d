"""Planted data: a whole RunContext whose effects are known, read through the functions a real run uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conceptprobe.evidence.context import RunContext, Settings, Subject
from conceptprobe.models.base import Kind, ModelInfo
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet

SITES = ("embed", "resid_post.0", "resid_post.1")
WORDS = (
    "patience hammer otter ladder meadow verdict ribbon harbour ledger willow copper anthem bishop cradle ember".split()
)


@dataclass(frozen=True)
class Planted:
    """What is put in. encoded: shift of positive terms along one direction at the last site, in units of the noise
    between terms; senses: the same for pairs of one bag; bag: shift visible in the word vectors too (must never count
    as beyond words)."""

    encoded: float = 0.0
    senses: float = 0.0
    bag: float = 0.0


def stimulus_sets(units: int, templates: int) -> dict[str, StimulusSet]:
    """Terms in templates and pairs of the same words, as expand() would make them."""
    terms = []
    letters = np.random.default_rng(7)
    for u in range(units):
        for tier in ("positive", "near", "far"):
            # Letters say nothing of the tier, and all terms are equally long.
            term = "".join(letters.choice(list("abcdefghijklmnopqrstuvwxyz"), 7))
            for t in range(templates):
                text = f"{WORDS[t % len(WORDS)]} her {term} {WORDS[(t + 5) % len(WORDS)]}"
                start = text.index(term)
                terms.append(
                    Stimulus(
                        f"p/terms/u{u}/{tier}/t{t}",
                        "p",
                        "",
                        "positive" if tier == "positive" else "control",
                        "text",
                        text,
                        groups=(("unit", f"u{u}"), ("term", term), ("template", f"t{t}"), ("tier", tier)),
                        pair=f"u{u}",
                        span=(start, start + len(term)),
                    )
                )
    pairs = []
    for u in range(units):
        a, b = WORDS[u % len(WORDS)], WORDS[(3 * u + 1) % len(WORDS)]
        for role, text in (("positive", f"{a} soul {b}"), ("homonym", f"{b} soul {a}")):
            start = text.index("soul")
            pairs.append(
                Stimulus(
                    f"p/same/{u}/{role}",
                    "p",
                    "",
                    role,
                    "text",
                    text,
                    groups=(("unit", f"w{u}"),),
                    pair=f"w{u}",
                    span=(start, start + 4),
                )
            )
    return {"terms": StimulusSet("terms", tuple(terms)), "same_words": StimulusSet("same_words", tuple(pairs))}


def planted_run(
    truth: Planted,
    seed: int,
    *,
    units: int = 12,
    templates: int = 6,
    d: int = 24,
    permutations: int = 999,
    twins: int = 1,
) -> RunContext:
    """A RunContext over one planted model, its twins and planted word vectors."""
    sets = stimulus_sets(units, templates)
    rng = np.random.default_rng(seed)
    stored: dict[tuple[str, str, str, str], np.ndarray] = {}
    model = _info("planted", "trained")
    others = [_info(f"random:planted#{i}", "twin") for i in range(twins)]
    words = _info("words:cooccurrence", "static")
    for name, stimuli in sets.items():
        labels = np.array(stimuli.labels)
        strength = truth.encoded if name == "terms" else truth.senses
        for info in [model, *others]:
            direction = rng.standard_normal(d) / np.sqrt(d)
            for depth, site in enumerate(SITES):
                x = _correlated(rng, stimuli, d)
                if info is model and depth == len(SITES) - 1:
                    x += strength * np.sqrt(d) * np.outer(2 * labels - 1, direction)
                stored[info.name, name, site, "concept_span"] = x
            for pooling in ("mean", "context"):
                stored[info.name, name, "tokens", pooling] = _bag(
                    rng, stimuli, d, truth.bag if name == "same_words" else 0.0
                )
        for pooling in ("concept_span", "mean", "context"):
            stored[words.name, name, "embed", pooling] = stored[model.name, name, "tokens", "mean"]

    def read(m: str, s: str, site: str, pooling: str) -> np.ndarray:
        return stored[m, s, site, pooling].astype(np.float32)

    subject = Subject(model, SITES, tuple(Subject(i, SITES) for i in others))
    return RunContext(
        run_id="planted",
        concept="p",
        smallest_effect={"encoded": 0.1, "beyond_words": 0.05, "shared": 0.05},
        splits=(4, 3),
        sets=sets,
        subjects=(subject, Subject(words, ("embed",))),
        read=read,
        settings=Settings(permutations=permutations, seed=seed),
    )


def _correlated(rng: np.random.Generator, stimuli: StimulusSet, d: int) -> np.ndarray:
    """Rows share the noise of their pair, of their term and of their template, as real sentences do."""
    x = rng.standard_normal((len(stimuli), d)) * 0.5
    for kind, size in (("unit", 0.7), ("term", 1.0), ("template", 0.7)):
        names = [s.group(kind) for s in stimuli]
        noise = {n: rng.standard_normal(d) * size for n in dict.fromkeys(names) if n}
        x += np.array([noise.get(n, np.zeros(d)) for n in names])
    return x


def _bag(rng: np.random.Generator, stimuli: StimulusSet, d: int, shift: float) -> np.ndarray:
    """One vector per unit, so that both members of a pair have the same bag of words, unless a shift is planted."""
    units = [s.group("unit") for s in stimuli]
    vectors = {u: rng.standard_normal(d) for u in dict.fromkeys(units)}
    x = np.array([vectors[u] for u in units])
    x[:, 0] += shift * (2 * np.array(stimuli.labels) - 1)
    return x


def _info(name: str, kind: Kind) -> ModelInfo:
    return ModelInfo(name, "planted", "", name, "planted", ("text",), 2, 24, 0, "float32", (), kind)
