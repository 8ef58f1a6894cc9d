"""A model of which only vectors are served: no twin, no tokens, one site. What needs a twin gives no verdict on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conceptprobe import registry
from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.calibration.text import TextWorld
from conceptprobe.evidence.context import NO_TWIN, RunContext
from conceptprobe.evidence.crossmodal import crossmodal
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.shared import shared
from evidence.test_crossmodal import planted_media


def as_served(run: RunContext, *names: str) -> RunContext:
    """The same run, in which these models are served: at their last site, which they call `pooled`."""
    last = {s.name: s.sites[-1] for s in run.subjects}
    subjects = tuple(
        replace(s, sites=("pooled",), twins=(), token_table=False) if s.name in names else s for s in run.subjects
    )

    def read(model, set_name, site, pooling):
        assert site != "tokens" or model not in names, "a served model has no table of tokens"
        return run.read(model, set_name, last[model] if site == "pooled" else site, pooling)

    return replace(run, subjects=subjects, read=read, memo={})


def headlines(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.headline]


@pytest.mark.parametrize("names", [("one",), ("one", "other")])
def test_agreement_with_a_served_model_is_shown_without_a_verdict(names):
    """The same spaces with twins are supported: what is lacking is the comparison, not the agreement."""
    run = SharedWorld(meaning=1.0, stressed=3.0, words=160).run(("shared",), "planted", seed=0)
    (known,) = headlines(shared(run).findings)
    (row,) = headlines(shared(as_served(run, *names)).findings)
    assert known.verdict == "supported"
    assert row.verdict == "inconclusive"
    assert NO_TWIN in row.note.lower()
    assert row.estimate > 0.5


def test_a_probe_carried_to_pictures_from_a_served_model_has_no_verdict():
    run = planted_media(0, agreement=2.0, apart=1.0)
    (known,) = headlines(crossmodal(run).findings)
    (row,) = headlines(crossmodal(as_served(run, known.model_a)).findings)
    assert known.verdict == "supported"
    assert row.verdict == "inconclusive"
    assert NO_TWIN in row.note.lower()
    assert "No null result either" not in row.note


@pytest.mark.parametrize("question", ["encoded", "beyond_words"])
def test_a_served_model_is_held_to_word_statistics(question):
    """The baselines are those that every model shares; beyond words nothing is claimed without a twin."""
    run = TextWorld(concept=2.0).run(("encoded", "beyond_words"), "planted", seed=0, details=True)
    answer = registry.get("question", question)(as_served(run, "planted"))
    (row,) = headlines(answer.findings)
    assert row.site_a == "pooled"
    assert row.verdict == ("supported" if question == "encoded" else "inconclusive")
    assert {f.kind_a for f in answer.findings} == {"trained", "static"}
    assert not any(f.model_a.startswith("static:") for f in answer.findings)
    assert (NO_TWIN in row.note.lower()) == (question == "beyond_words")


def test_a_model_with_twins_lacks_none():
    run = SharedWorld(words=160).run(("shared",), "planted", seed=0)
    assert not any(subject.without_twin for subject in run.subjects)
    assert all(twin.without_twin == "" for subject in run.subjects for twin in subject.twins)
