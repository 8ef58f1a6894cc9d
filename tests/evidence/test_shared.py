"""Alignment of planted spaces: twins are subtracted, relatives do not count, and geometry alone is never `supported`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe.evidence.context import RunContext, Settings, Subject
from conceptprobe.evidence.geometry import site_at
from conceptprobe.evidence.shared import shared
from conceptprobe.models.base import ModelInfo
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet

SITES = ("embed", "resid_post.0", "resid_post.1", "resid_post.2", "final")


def info(name, kind="trained", lineage=()):
    return ModelInfo(name, "", "", name, "planted", ("text",), 3, 16, 0, "float32", tuple(lineage), kind)


def sets(words=60, terms=12):
    def stimulus(kind, word, t, tier=""):
        groups = ((kind, word), ("template", str(t)), *((("tier", tier),) if tier else ()))
        return Stimulus(
            f"{word}/{t}", "p", "", "background", "text", f"the {word}", groups=groups, span=(4, 4 + len(word))
        )

    pool = [stimulus("word", f"w{i}", t) for i in range(words) for t in range(2)]
    own = [stimulus("term", f"p{i}", t, "positive") for i in range(terms) for t in range(2)]
    own += [stimulus("term", f"n{i}", t, "near") for i in range(terms) for t in range(2)]
    return {
        "background": StimulusSet("background", tuple(pool)),
        "terms_in_pool": StimulusSet("terms_in_pool", tuple(own)),
    }


def context(subjects, spaces, permutations=999):
    """spaces: model name -> one vector per word; templates add noise."""
    made = sets()

    def read(model, name, site, pooling):
        rng = np.random.default_rng([sum(map(ord, model)), SITES.index(site)])
        words = [s.group("word") or s.group("term") for s in made[name]]
        noise = rng.standard_normal((len(words), 16)) * 0.1
        return (np.array([spaces[model][w] for w in words]) + noise).astype(np.float32)

    return RunContext(
        run_id="r",
        concept="p",
        smallest_effect={"shared": 0.05},
        splits=(5, 3),
        sets=made,
        subjects=tuple(subjects),
        read=read,
        settings=Settings(permutations=permutations),
    )


def planted(rng, *, alike: float, lineage_a=(), lineage_b=(), kind_b="trained"):
    """Models a and b whose vectors share a part; twins share a smaller part with everything, as letters would make them."""
    names = [f"w{i}" for i in range(60)] + [f"p{i}" for i in range(12)] + [f"n{i}" for i in range(12)]
    meaning = rng.standard_normal((len(names), 16))
    letters = rng.standard_normal((len(names), 16))

    def space(share):
        own = rng.standard_normal((len(names), 16))
        return dict(zip(names, share * meaning @ np.linalg.qr(own[:16])[0] + letters + own, strict=True))

    twins = {k: tuple(Subject(info(f"random:{k}#{i}", "twin"), SITES) for i in range(2)) for k in "ab"}
    a = Subject(info("a", lineage=lineage_a), SITES, twins["a"])
    b = Subject(info("b", kind_b, lineage_b), SITES, twins["b"])
    spaces = {"a": space(alike), "b": space(alike)} | {t.name: space(0.0) for ts in twins.values() for t in ts}
    return context([a, b], spaces)


def test_the_site_compared_is_two_thirds_up_whatever_the_data():
    assert site_at(Subject(info("a"), SITES)) == "resid_post.1"
    assert site_at(Subject(info("w", "static"), ("embed",))) == "embed"


def test_alike_spaces_exceed_their_twins_and_unrelated_ones_do_not(rng):
    alike = {f.metric: f for f in shared(planted(rng, alike=3.0)).findings}
    apart = {f.metric: f for f in shared(planted(rng, alike=0.0)).findings}
    for metric in ("cka", "mutual_knn", "rsa"):
        assert alike[metric].ci_low > 0, metric
        assert apart[metric].ci_low < 0.05, metric
        assert alike[metric].p == pytest.approx(1 / 1000 if metric == "mutual_knn" else 1 / 200)
        assert alike[metric].null_q95 < alike[metric].estimate


def test_letters_shared_with_a_twin_are_significant_but_not_an_effect(rng):
    """What spelling alone explains has a tiny p and no effect over the twins."""
    row = next(f for f in shared(planted(rng, alike=0.0)).findings if f.metric == "cka")
    assert row.p < 0.05
    assert row.effect < 0.05


def test_geometry_alone_is_never_supported(rng):
    answer = shared(planted(rng, alike=3.0))
    (row,) = [f for f in answer.findings if f.headline]
    assert row.metric == "mutual_knn"
    assert row.verdict == "inconclusive"
    assert "geometry alone" in row.note.lower()
    assert not answer.not_asked


@pytest.mark.parametrize(("lineage", "kind"), [(("data:books",), "trained"), ((), "static")])
def test_relatives_and_static_models_are_details(rng, lineage, kind):
    answer = shared(planted(rng, alike=3.0, lineage_a=lineage, lineage_b=lineage, kind_b=kind))
    assert answer.findings
    assert not any(f.headline for f in answer.findings)
    assert all(f.note for f in answer.findings)
    assert "two trained models" in answer.not_asked


def test_the_site_map_covers_all_pairs_of_sites(rng):
    records = shared(planted(rng, alike=1.0)).series["sites"]
    assert len(records) == len(SITES) ** 2
    assert {(r["site_a"], r["site_b"]) for r in records} == {(a, b) for a in SITES for b in SITES}


def test_one_model_alone_has_nothing_to_share(rng):
    run = planted(rng, alike=1.0)
    answer = shared(replace(run, subjects=run.subjects[:1], memo={}))
    assert answer.findings == []
    assert answer.not_asked
