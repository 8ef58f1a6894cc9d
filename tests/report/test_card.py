"""The card's rule: every headline of trained, unrelated models counts, nothing else does."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from conceptprobe.errors import UsageError
from conceptprobe.evidence.finding import QUESTIONS
from conceptprobe.report.card import concept_card, overall
from report.samples import headline, row

YES, NO, OPEN = "supported", "absent", "inconclusive"

TABLE = {
    frozenset(): "not asked",
    frozenset({YES}): "supported",
    frozenset({NO}): "absent",
    frozenset({OPEN}): "inconclusive",
    frozenset({YES, NO}): "mixed",
    frozenset({YES, OPEN}): "inconclusive",
    frozenset({NO, OPEN}): "inconclusive",
    frozenset({YES, NO, OPEN}): "mixed",
}


@pytest.mark.parametrize("verdicts", [v for n in range(4) for v in product((YES, NO, OPEN), repeat=n)])
def test_overall_verdict_follows_the_truth_table(verdicts: tuple[str, ...]) -> None:
    assert overall([headline(v) for v in verdicts]) == TABLE[frozenset(verdicts)]


def line(question: str, *rows: Any, **kwargs: Any) -> Any:
    card = concept_card(list(rows), "soul", kwargs.pop("not_asked", {}), **kwargs)
    return next(line for line in card.lines if line.question == question)


def test_the_card_has_the_seven_questions_in_order() -> None:
    card = concept_card([], "soul", {})
    assert [line.question for line in card.lines] == list(QUESTIONS)
    assert all(line.verdict == "not asked" and line.reason for line in card.lines)


@pytest.mark.parametrize("kind", ["twin", "static"])
def test_baselines_and_twins_never_count(kind: str) -> None:
    assert line("encoded", headline(YES), headline(NO, kind_a=kind)).verdict == "supported"
    assert line("encoded", headline(YES, kind_a=kind)).verdict == "not asked"


def test_detail_rows_never_count() -> None:
    assert line("encoded", headline(NO), row(question="encoded")).verdict == "absent"
    assert line("encoded", row()).verdict == "not asked"


def pair(verdict: str, a: str = "minilm", b: str = "pocket-lm", kind_b: str = "trained") -> object:
    return headline(verdict, question="shared", model_a=a, model_b=b, kind_b=kind_b)


def test_pairs_count_only_between_unrelated_trained_models() -> None:
    assert line("shared", pair(YES)).verdict == "supported"
    assert line("shared", pair(YES, kind_b="static")).verdict == "not asked"
    assert line("shared", pair(YES, kind_b="twin")).verdict == "not asked"
    assert line("shared", pair(YES, b="minilm")).verdict == "not asked"
    related = [frozenset({"minilm", "distilled"})]
    assert line("shared", pair(NO), pair(YES, b="distilled"), related=related).verdict == "absent"
    assert line("shared", pair(NO), pair(YES, b="distilled")).verdict == "mixed"


def test_two_unrelated_models_are_asked_for_when_only_other_pairs_were_compared() -> None:
    assert "two unrelated trained models" in line("shared", pair(YES, kind_b="static")).reason


def test_the_name_of_a_baseline_beside_a_single_model_does_not_hide_its_row() -> None:
    found = line("beyond_words", headline(YES, question="beyond_words", model_b="words:tfidf", kind_b="static"))
    assert found.verdict == "supported"


def test_reasons_are_kept_and_rows_win_over_reasons() -> None:
    reasons = {"encoded": "No terms.", "causal": "Nothing was steered."}
    assert line("causal", headline(YES), not_asked=reasons).reason == "Nothing was steered."
    answered = line("encoded", headline(YES), not_asked=reasons)
    assert (answered.verdict, answered.reason) == ("supported", "")


def test_a_misspelt_question_and_two_concepts_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'encoded'"):
        concept_card([], "soul", {"encodde": "?"})
    with pytest.raises(UsageError, match="self, soul"):
        concept_card([headline(YES), headline(YES, concept="self")], "soul", {})
