"""What survives without the word: planted so that the direction is in the name alone, or in what is meant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe.evidence.context import RunContext, Settings, Subject
from conceptprobe.evidence.survives import LITERAL, SPLITS, pairs_from_afar, what_survives
from conceptprobe.models.base import Kind, ModelInfo
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet

D, SCENES, SITES = 16, 16, ("embed", "resid_post.0")
LANGS = ("de", "fr")


def stimulus(name: str, scene: int, label: int, text: str, lang: str = "en") -> Stimulus:
    role = {"paraphrases": ("control", "paraphrase")}.get(name, ("control", "positive"))[label]
    group = f"p{scene}" if name == "paraphrases" else f"g{scene}"
    return Stimulus(
        f"c/{name}/{scene}/{label}/{lang}",
        "c",
        "",
        role,
        "text",
        text,
        lang=lang,
        groups=(
            ("group", group),
            ("unit", f"{name} {scene}"),
            ("tier", "positive" if label else "near"),
            ("template", "t"),
        ),
        pair=f"{name} {scene}",
        span=(0, 4),
    )


def sets() -> dict[str, StimulusSet]:
    made = {}
    for name in ("terms", "sentences", "masked", "paraphrases", "same_words"):
        rows = [stimulus(name, s, y, f"{'soul' if y else 'duty'} word{s}") for s in range(SCENES) for y in (1, 0)]
        made[name] = StimulusSet(name, tuple(rows))
    rows = [
        stimulus("translations", s, y, f"wort{s} {lang}", lang) for lang in LANGS for s in range(SCENES) for y in (1, 0)
    ]
    made["translations"] = StimulusSet("translations", tuple(rows))
    return made


def planted(meant: set[str], seed: int = 0, lacks: frozenset[str] = frozenset()) -> RunContext:
    """A model whose last site holds one direction in the sets named, and nothing elsewhere; a twin that holds nothing."""
    rng = np.random.default_rng(seed)
    known, direction = sets(), rng.standard_normal(D)
    stored: dict[tuple[str, str, str, str], np.ndarray] = {}

    def info(name: str, kind: Kind) -> ModelInfo:
        return ModelInfo(name, "", "", name, "planted", ("text",), 1, D, 0, "float32", (), kind)

    def read(model: str, name: str, site: str, pooling: str) -> np.ndarray:
        key = (model, name, site, pooling)
        if key not in stored:
            x = rng.standard_normal((len(known[name]), D))
            if model == "m" and site == SITES[-1] and name in meant:
                x += np.outer(2 * np.array(known[name].labels) - 1, direction)
            stored[key] = x.astype(np.float32)
        return stored[key]

    twin = Subject(info("random:m#0", "twin"), SITES)
    return RunContext(
        run_id="r",
        concept="c",
        smallest_effect={"beyond_words": 0.05},
        splits=(4, 1),
        sets=known,
        subjects=(Subject(info("m", "trained"), SITES, (twin,), lacks),),
        read=read,
        settings=Settings(permutations=99, seed=seed),
    )


def rows_of(run: RunContext) -> dict[str, object]:
    return {row.split: row for row in what_survives(run, run.subjects[0])}


def test_what_is_in_the_name_alone_does_not_survive_it():
    rows = rows_of(planted({"sentences"}))
    assert rows[LITERAL].estimate > 0.95
    for name in ("masked", "paraphrases"):
        assert rows[SPLITS[name]].estimate < 0.7, name
        assert rows[SPLITS[name]].ci_low < 0


def test_what_is_meant_survives_in_every_form_and_language():
    rows = rows_of(planted({"sentences", "masked", "paraphrases", "translations"}))
    assert set(rows) == {
        LITERAL,
        SPLITS["masked"],
        SPLITS["paraphrases"],
        *(f"{SPLITS['translations']} ({langs})" for langs in ("de, fr", "de", "fr")),
    }
    for split, row in rows.items():
        # By name the words soul and duty are told apart, so only rows without them can beat the baselines.
        assert row.estimate > 0.95, split
        assert row.site_a == SITES[-1]
        assert row.effect == pytest.approx(row.estimate - row.reference)
        assert row.ci_low - 1e-12 <= row.effect <= row.ci_high + 1e-12
    assert rows[f"{SPLITS['translations']} (de)"].units == SCENES


def test_a_model_that_cannot_read_a_set_has_no_row_of_it():
    rows = rows_of(planted({"sentences"}, lacks=frozenset({"translations"})))
    assert not any(split.startswith(SPLITS["translations"]) for split in rows)
    assert SPLITS["masked"] in rows


def test_a_translated_scene_is_read_by_a_probe_that_never_saw_the_scene():
    """A model that knows every scene by heart, with labels of their own: nothing of that may reach a translation."""
    run = planted(set())
    rng = np.random.default_rng(3)
    own = {s.group("group"): rng.standard_normal(D) * 5 for s in run.sets["sentences"]}

    def by_heart(model: str, name: str, site: str, pooling: str) -> np.ndarray:
        x = run.read(model, name, site, pooling).copy()
        if model == "m" and name in ("sentences", "masked", "translations"):
            signs = 2 * np.array(run.sets[name].labels) - 1
            x += np.array([own[s.group("group")] for s in run.sets[name]]) * signs[:, None]
        return x

    rows = rows_of(replace(run, read=by_heart))
    for split, row in rows.items():
        assert row.estimate < 0.75, split


def test_pairs_are_read_from_afar_only_where_the_direction_is_the_same():
    together = planted({"terms", "sentences", "same_words"})
    (row,) = pairs_from_afar(together, together.subjects[0])
    assert row.estimate > 0.95
    assert row.units == SCENES
    apart = planted({"terms", "sentences"})
    (row,) = pairs_from_afar(apart, apart.subjects[0])
    assert row.estimate < 0.7


def test_nothing_is_said_where_the_file_lacks_the_sentences():
    run = planted({"sentences"})
    without = replace(run, sets={k: v for k, v in run.sets.items() if k != "sentences"})
    assert what_survives(without, without.subjects[0]) == []
    assert pairs_from_afar(without, without.subjects[0]) == []
