"""How hard the stimuli are: exact chance for equal bags, planted leaks found, noise left alone."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conceptprobe.stimuli import check_files
from conceptprobe.stimuli.difficulty import Difficulty, measure
from conceptprobe.stimuli.held_out import FOLDS, held_out_auroc
from conceptprobe.stimuli.loading import FileReport
from conceptprobe.stimuli.schema import Concept
from conceptprobe.stimuli.words import words

Document = dict[str, Any]
Write = Callable[..., Path]


def mean_vectors(texts: Sequence[str], dtype: type = np.float32) -> np.ndarray:
    """Mean of one random vector per word, summed in the order of the text."""
    means = []
    for text in texts:
        vectors = [np.random.default_rng(zlib.crc32(w.encode())).standard_normal(50).astype(dtype) for w in words(text)]
        total = np.zeros(50, dtype=dtype)
        for vector in vectors:
            total += vector / dtype(len(vectors))
        means.append(total)
    return np.array(means)


def checked(document: Document, write: Write) -> tuple[FileReport, Difficulty]:
    (file,) = check_files([write(document)], word_vectors=mean_vectors).files
    assert file.difficulty is not None
    return file, file.difficulty


def test_pairs_of_one_bag_are_at_exactly_one_half(document: Document) -> None:
    pairs = measure(Concept.model_validate(document), mean_vectors).sets["same_words"]
    assert {kind: pairs.auroc[kind] for kind in ("tfidf_words", "tfidf_chars", "static")} == {
        "tfidf_words": 0.5,
        "tfidf_chars": 0.5,
        "static": 0.5,
    }
    assert (pairs.n_target, pairs.n_other, pairs.groups) == (30, 30, 30)
    assert pairs.balance == {"characters": 0.0, "words": 0.0, "position": 0.0}


def test_rounding_tells_no_pair_apart() -> None:
    """The negative control of the line above: the means do differ in their last digits."""
    one, two = mean_vectors(["xa xb xc xd xe xf xg"]), mean_vectors(["xg xf xe xd xc xb xa"])
    assert not np.array_equal(one, two)
    assert np.allclose(one, two, atol=1e-6)


def test_a_word_that_gives_the_label_away_is_a_warning(document: Document, write: Write) -> None:
    quiet, difficulty = checked(document, write)
    assert quiet.problems == ()
    assert difficulty.sets["sentences"].auroc["tfidf_words"] < 0.8
    for entry in document["sentences"]:
        if entry["label"] == "positive":
            entry["text"] = entry["text"].replace(".", " eternally.")
    loud, difficulty = checked(document, write)
    assert difficulty.sets["sentences"].auroc["tfidf_words"] > 0.95
    assert {p.code for p in loud.problems} == {"CP050"}
    assert loud.content is not None  # a warning stops nothing


def test_the_span_itself_is_no_leak(document: Document) -> None:
    """Every positive sentence names the concept: without that word nothing is left to learn."""
    scores = [
        measure(Concept.model_validate(document)).sets["sentences"].auroc[k] for k in ("tfidf_words", "tfidf_chars")
    ]
    assert max(scores) < 0.75
    for entry in document["sentences"]:
        if entry["label"] == "positive":
            entry["text"], entry["span"] = entry["text"].replace(".", " and xspanq."), "xspanq"
    assert (
        measure(Concept.model_validate(document)).sets["sentences"].auroc["tfidf_words"] > 0.9
    )  # now `zoqa` is context


@pytest.mark.parametrize(
    ("target", "kinds"),
    [
        ("The {a} {b} with the {c} zoqa.", {"surface", "position", "next_word"}),
        ("The {a} {b} with zoqa the {c}.", {"surface", "position", "previous_word"}),
        ("The {a} {b} zoqa of the {c}.", {"next_word", "tfidf_words", "tfidf_chars", "static"}),
    ],
)
def test_what_tells_senses_apart_without_composition_is_a_warning(
    document: Document, write: Write, target: str, kinds: set[str]
) -> None:
    for pair in document["same_words"]:
        _, a, b, _, _, _, c = pair["target"].rstrip(".").split()
        pair["target"] = target.format(a=a, b=b, c=c)
    file, _ = checked(document, write)
    assert {p.code for p in file.problems} == {"CP052"}
    said = {p.message.split()[1] for p in file.problems} - {"the"}
    said |= {"position"} if any("the concept word stands" in p.message for p in file.problems) else set()
    assert kinds <= said


def test_a_planted_direction_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    groups = [str(i // 6) for i in range(120)]
    noise = rng.standard_normal((120, 30))
    planted = noise + 3.0 * np.outer(labels, rng.standard_normal(30))
    assert (held_out_auroc(planted, labels, groups) or 0) > 0.99
    values = [held_out_auroc(rng.standard_normal((120, 30)), labels, groups) or 0 for _ in range(20)]
    assert abs(float(np.mean(values)) - 0.5) < 0.06


def test_offsets_of_groups_cannot_enter() -> None:
    """A feature that is one number per group says nothing within a group, however large it is."""
    labels = np.tile([0, 1], 60)
    groups = [str(i // 6) for i in range(120)]
    offset = np.repeat(np.arange(20.0) * 100, 6)[:, None]
    assert abs((held_out_auroc(offset, labels, groups) or 0) - 0.5) < 0.05


def test_groups_are_held_out() -> None:
    """A feature that only repeats within a group (its label, encoded per group) does not carry over."""
    rng = np.random.default_rng(1)
    labels = np.tile([0, 1], 60)
    groups = [str(i // 6) for i in range(120)]
    own = np.repeat(rng.choice([-1.0, 1.0], size=(20, 400)), 6, axis=0) * np.where(labels, 1, -1)[:, None]
    assert abs((held_out_auroc(own, labels, groups) or 0) - 0.5) < 0.2


def test_too_few_groups_have_no_figure() -> None:
    x = np.random.default_rng(0).standard_normal((12, 3))
    labels = np.tile([0, 1], 6)
    assert held_out_auroc(x, labels, [str(i % (2 * FOLDS - 1)) for i in range(12)]) is None
    assert held_out_auroc(x, np.ones(12, dtype=int), [str(i) for i in range(12)]) is None


def test_the_figures_do_not_depend_on_the_order_of_entries_or_chance(document: Document) -> None:
    first = measure(Concept.model_validate(document), mean_vectors).to_dict()
    assert measure(Concept.model_validate(document), mean_vectors).to_dict() == first
    for section in ("terms", "citations"):
        random.Random(0).shuffle(document[section])
    assert measure(Concept.model_validate(document), mean_vectors).to_dict()["sets"] == first["sets"]


def test_terms_are_compared_with_their_positives(document: Document) -> None:
    for triple in document["terms"]:
        triple["near"] += "xy"
    terms = measure(Concept.model_validate(document), count_tokens=lambda t: 2 if t.endswith("xy") else 1).terms
    assert terms == {
        "characters_near": 2.0,
        "characters_far": 0.0,
        "zipf_near": 0.0,
        "zipf_far": 0.0,
        "tokens_near": 1.0,
        "tokens_far": 0.0,
    }


def test_a_language_without_frequencies_is_measured_without_them(document: Document, write: Write) -> None:
    document["lang"] = "tlh"
    file, difficulty = checked(document, write)
    assert file.problems == ()
    assert set(difficulty.terms) == {"characters_near", "characters_far"}


def test_small_or_broken_sets_are_measured_as_far_as_they_go(document: Document, write: Write) -> None:
    document["same_words"] = document["same_words"][:1]
    document["homonyms"] = [h for h in document["homonyms"] if h["label"] == "target"]
    document["paraphrases"] = []
    document["sentences"][0] |= {"span": "elsewhere", "text": "1 2 3."}
    file, difficulty = checked(document, write)
    assert file.content is None
    assert set(difficulty.sets) == {"sentences", "same_words", "homonyms"}
    assert difficulty.sets["same_words"].auroc == {}


def test_the_report_is_plain_data(document: Document, write: Write) -> None:
    import json

    document["terms"][0]["colour"] = "red"
    report = check_files([write(document)])
    data = json.loads(json.dumps(report.to_dict()))
    assert data["ok"] is False
    (file,) = data["files"]
    assert file["kind"] == "concept"
    assert file["problems"][0]["code"] == "CP001"
    assert set(file["problems"][0]) == {"file", "line", "column", "code", "severity", "message"}
