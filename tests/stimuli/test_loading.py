"""Loading: only ConceptFileError for a bad file, nothing heavy imported, the shipped files are valid."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conceptprobe.stimuli import ConceptFileError, check_files, load_background, load_concept
from conceptprobe.stimuli.draft import draft
from conceptprobe.stimuli.rules import FULL_RULES, RULES
from conceptprobe.stimuli.source import parse_source

CONCEPTS = Path(__file__).parents[2] / "concepts"


def test_a_concept_is_frozen_and_complete(document: dict[str, Any], write: Callable[..., Path]) -> None:
    concept = load_concept(write(document))
    assert (concept.schema_number, concept.id, concept.version) == (1, "zoqa", "1.0.0")
    assert concept.smallest_effect.encoded == 0.1
    assert concept.target_senses == {"essence"}
    assert [t.id for t in concept.terms] == [t["id"] for t in document["terms"]]
    for field in type(concept).model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(concept, field, getattr(concept, field))


def test_whole_numbers_may_stand_for_numbers(document: dict[str, Any], write: Callable[..., Path]) -> None:
    text = yaml.safe_dump(document, sort_keys=False).replace("encoded: 0.1", "encoded: 5e-2")
    assert load_concept(write(text)).smallest_effect.encoded == 0.05


def test_all_errors_are_in_the_message_and_warnings_are_not(
    document: dict[str, Any], write: Callable[..., Path]
) -> None:
    document["senses"].append({"id": "idle", "role": "idiom", "gloss": "never used"})
    path = write(document)
    load_concept(path)
    document["templates"][0]["colour"] = "red"
    document["homonyms"][0]["span"] = "nowhere"
    with pytest.raises(ConceptFileError) as caught:
        load_concept(write(document))
    assert [p.code for p in caught.value.problems] == ["CP001", "CP012", "CP016"]
    assert str(caught.value).endswith("3 errors, 0 warnings. Nothing was run.")
    assert caught.value.exit_code == 2


def test_kinds_are_not_confused(document: dict[str, Any], pool: dict[str, Any], write: Callable[..., Path]) -> None:
    with pytest.raises(ConceptFileError, match="background pool, not a concept"):
        load_concept(write(pool))
    with pytest.raises(ConceptFileError, match="concept, not a background pool"):
        load_background(write(document))


JUNK = st.sampled_from(
    [None, True, 7, -1, 1.5, "", "x", "zoqa", "{term}", "a\nb", "\x1b[0m", "../x", [], ["x"], {}, {"id": 1}]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_spoiled_document_never_raises_anything_else(small_document: dict[str, Any], data: st.DataObject) -> None:
    """Every rule, the dear ones included, copes with whatever shape the rest of the file has."""
    document = copy.deepcopy(small_document)
    for _ in range(data.draw(st.integers(1, 6))):
        here: Any = document
        while True:
            steps = list(here) if isinstance(here, dict) else list(range(len(here)))
            step = data.draw(st.sampled_from(steps))
            inner = here[step]
            if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
                break
            here = inner
        if data.draw(st.booleans()):
            here[step] = data.draw(JUNK)
        elif isinstance(here, dict) and len(here) > 1:
            del here[step]
    try:
        read = draft(parse_source(yaml.safe_dump(document).encode(), "file.yaml"))
    except ConceptFileError:
        return
    problems = [*read.problems]
    for rule in (*RULES[read.kind], *FULL_RULES[read.kind]):
        problems += rule(read)
    assert problems
    for problem in problems:
        assert str(problem).isprintable()
        assert problem.line >= 1
        assert problem.column >= 1


def test_loading_imports_nothing_heavy(document: dict[str, Any], write: Callable[..., Path]) -> None:
    heavy = ["numpy", "sklearn", "scipy", "pandas", "torch", "transformers", "wordfreq", "umap"]
    program = (
        "import sys; import conceptprobe.stimuli; assert 'yaml' not in sys.modules and 'pydantic' not in sys.modules;"
        "from conceptprobe.stimuli import load_concept, expand; expand(load_concept(sys.argv[1]));"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(write(document))],
        capture_output=True,
        text=True,
        cwd=CONCEPTS.parent,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("name", ["soul", "self", "consciousness"])
def test_shipped_concepts_are_valid(name: str) -> None:
    concept = load_concept(CONCEPTS / f"{name}.yaml")
    assert concept.id == name
    assert len(concept.citations) >= 5


def test_the_shipped_pool_is_valid() -> None:
    assert len(load_background(CONCEPTS / "background.yaml").words) >= 400


@pytest.mark.parametrize("name", ["soul", "self", "consciousness", "background"])
def test_shipped_files_pass_the_full_check_and_their_pairs_are_hard(name: str) -> None:
    (report,) = check_files([CONCEPTS / f"{name}.yaml"]).files
    assert [str(p) for p in report.problems if p.severity == "error"] == []
    if report.difficulty is None:
        assert name == "background"
        return
    assert report.difficulty.units >= 20
    for kind in ("tfidf_words", "tfidf_chars", "surface"):
        assert 0.4 <= report.difficulty.sets["same_words"].auroc[kind] <= 0.6
    for kind in ("sentences", "paraphrases"):
        assert report.difficulty.sets[kind].auroc["tfidf_words"] <= 0.8
