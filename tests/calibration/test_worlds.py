"""Planted models follow what they are made to follow, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe import registry
from conceptprobe.calibration.media import MediaWorld
from conceptprobe.calibration.rows import ROWS
from conceptprobe.calibration.spaces import SITES as SHARED_SITES
from conceptprobe.calibration.spaces import TOLD, SharedWorld
from conceptprobe.calibration.text import SITES, WIDTH, TextWorld, rotation
from conceptprobe.evidence.control_concepts import SETS
from conceptprobe.evidence.pool_words import RULER, PoolWords

QUESTIONS = ("encoded", "beyond_words")


def rows_of(world: TextWorld, name: str, site: str = SITES[-1], model: str = "planted", seed: int = 0):
    return world.run(QUESTIONS, "x", seed=seed).read(model, name, site, "concept_span").astype(np.float64)


def labels(world: TextWorld, name: str):
    return 2 * np.array(world.run(QUESTIONS, "x", seed=0).sets[name].labels) - 1


def pair_differences(x, label):
    """Positive minus control, pair by pair (members of a pair follow each other)."""
    return (x * label[:, None]).reshape(-1, 2, x.shape[1]).sum(axis=1)


def test_rotations_are_exactly_orthogonal(rng):
    q = rotation(WIDTH, rng)
    np.testing.assert_allclose(q @ q.T, np.eye(WIDTH), atol=1e-12)


def test_the_concept_moves_rows_along_one_direction_at_its_sites_alone():
    without, with_ = TextWorld(), TextWorld(concept=2.0, concept_sites=SITES[-1:])
    for name in ("terms", "same_words"):
        np.testing.assert_array_equal(rows_of(without, name, SITES[0]), rows_of(with_, name, SITES[0]))
        moved = rows_of(with_, name) - rows_of(without, name)
        assert np.linalg.matrix_rank(moved, tol=1e-3) == 1
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 2.0, rtol=1e-5)
        along = moved @ moved[0]
        np.testing.assert_array_equal(np.sign(along), labels(without, name) * labels(without, name)[0])


@pytest.mark.parametrize(
    "world",
    [
        TextWorld(concept=3.0),
        TextWorld(word=2.0, word_gap=2.0),
        TextWorld(length=3.0),
        TextWorld(position=3.0),
        TextWorld(opposite=3.0),
    ],
)
def test_twins_follow_nothing(world):
    """No class means apart: over many units the difference of a twin's class means is what noise alone leaves."""
    run = replace(world, units=400, templates=3).run(QUESTIONS, "x", seed=1)
    for name in ("terms", "same_words"):
        x = run.read("random:planted#0", name, SITES[-1], "concept_span")
        label = 2 * np.array(run.sets[name].labels) - 1
        gap = x[label > 0].mean(axis=0) - x[label < 0].mean(axis=0)
        assert np.abs(gap).max() < 0.45


def test_a_bag_of_words_is_exactly_the_same_in_both_members_of_a_pair():
    run = TextWorld(word=1.0, word_gap=1.0).run(QUESTIONS, "x", seed=0)
    for model, site in (("planted", "tokens"), ("words:cooccurrence", "embed")):
        x = run.read(model, "same_words", site, "mean").reshape(-1, 2, WIDTH)
        np.testing.assert_array_equal(x[:, 0], x[:, 1])


def test_a_word_only_model_is_at_its_null_on_pairs_and_not_on_terms():
    """What it follows is one vector in all pairs; terms of the concept lie apart."""
    world = TextWorld(word=1.0, word_gap=1.0, units=400)
    x = rows_of(world, "same_words", seed=2)
    assert np.abs(pair_differences(x, labels(world, "same_words")).mean(axis=0)).max() < 0.3
    terms = rows_of(world, "terms", seed=2)
    by_class = labels(world, "terms")
    gap = terms[by_class > 0].mean(axis=0) - terms[by_class < 0].mean(axis=0)
    assert np.linalg.norm(gap) > 1.5


def test_a_topic_is_the_same_in_both_members_of_a_pair():
    one, other = (TextWorld(topic=t).run(QUESTIONS, "x", seed=0) for t in (1.0, 2.0))
    x, y = (run.read("planted", "same_words", SITES[-1], "concept_span") for run in (one, other))
    topic = (y - x).reshape(-1, 2, WIDTH)
    np.testing.assert_allclose(topic[:, 0], topic[:, 1], atol=1e-5)
    assert np.linalg.norm(topic) > 1


def test_an_exclusive_or_leaves_class_means_together_and_classes_apart():
    world = TextWorld(opposite=3.0, units=800, templates=3)
    x = rows_of(world, "same_words", seed=3)
    label = 2 * np.array(world.run(QUESTIONS, "x", seed=3).sets["same_words"].labels) - 1
    gap = x[label > 0].mean(axis=0) - x[label < 0].mean(axis=0)
    assert np.linalg.norm(gap) < 1.0
    spread = [np.cov(x[label == side].T) for side in (1, -1)]
    assert np.linalg.eigvalsh(spread[0] - spread[1]).max() > 5  # second moments tell the classes apart


def both_halves(run, model: str) -> np.ndarray:
    """Rows of all words at the last site, the pool's first."""
    site = SHARED_SITES[-1]
    return np.concatenate([run.read(model, name, site, "concept_span") for name in ("background", "terms_in_pool")])


def cka(x: np.ndarray, y: np.ndarray) -> float:
    return float(registry.get("metric", "cka")(x, y))


@pytest.mark.parametrize("shared", [0.0, 0.7, 1.5])
def test_the_populations_cka_is_what_large_samples_give_where_nothing_is_gathered(shared):
    """Of the pool's words and of the concept's alike."""
    for world in (SharedWorld(meaning=shared, gathered=0.0), SharedWorld(letters=shared, gathered=0.0)):
        large = replace(world, words=1500, positives=750, twins=1)
        run = large.run(("shared",), "x", seed=0)
        x, y = (both_halves(run, s.name) for s in run.subjects)
        for part in (slice(0, 1500), slice(1500, None)):
            assert cka(x[part], y[part]) == pytest.approx(large.cka, abs=0.03)


def test_twins_share_letters_and_never_meaning():
    def with_a_twin(world: SharedWorld) -> float:
        run = replace(world, words=1500, positives=10).run(("shared",), "x", seed=0)
        one, other = run.subjects
        return cka(both_halves(run, one.name), both_halves(run, other.twins[0].name))

    assert with_a_twin(SharedWorld(meaning=2.0, gathered=0.0)) == pytest.approx(0.0, abs=0.02)
    letters = SharedWorld(letters=2.0, gathered=0.0)
    assert with_a_twin(letters) == pytest.approx(letters.cka, abs=0.03)


def test_sharing_on_the_background_leaves_the_terms_alone():
    world = SharedWorld(meaning=2.0, meaning_of="background", gathered=0.0, words=1500, positives=700)
    run = world.run(("shared",), "x", seed=0)
    x, y = (both_halves(run, s.name) for s in run.subjects)
    assert cka(x[:1500], y[:1500]) == pytest.approx(world.cka, abs=0.04)
    assert cka(x[1500:], y[1500:]) == pytest.approx(0.0, abs=0.04)
    # Every model still has the concept, along directions of its own.
    gathered = replace(world, gathered=5.0).run(("shared",), "x", seed=0)
    for subject in gathered.subjects:
        terms = both_halves(gathered, subject.name)[1500:]
        assert np.linalg.norm(terms[:700].mean(axis=0) - terms[700:].mean(axis=0)) == pytest.approx(10.0, abs=1.0)


def test_what_texts_tell_of_the_pool_is_the_same_in_every_replication_and_nothing_else_is():
    world = SharedWorld(meaning=1.0, positives=30)
    one, other = (world.latent(np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one[: world.words, :TOLD], world.told[: world.words])
    np.testing.assert_array_equal(other[: world.words, :TOLD], world.told[: world.words])
    rest = [np.concatenate([x[: world.words, TOLD:].ravel(), x[world.words :].ravel()]) for x in (one, other)]
    assert abs(np.corrcoef(*rest)[0, 1]) < 0.05
    np.testing.assert_array_equal(world.told, replace(world, meaning=0.0, letters=3.0, stressed=4.0).told)


def test_word_statistics_and_kinds_of_words_follow_what_texts_tell_of_them():
    world = SharedWorld(meaning=1.0)
    one, other = (world.run(("shared",), "x", seed=seed) for seed in (0, 1))
    ruler = [
        np.concatenate([run.read(RULER, name, "embed", "concept_span") for name in ("background", "terms_in_pool")])
        for run in (one, other)
    ]
    np.testing.assert_array_equal(ruler[0], ruler[1])
    for axis in range(TOLD):
        assert 0.9 < np.corrcoef(ruler[0][:, axis], world.told[:, axis])[0, 1] < 0.99  # a little blurred
    for run in (one, other):
        for stimulus, row in zip(run.sets["background"], world.told, strict=False):
            axis, sign = int(stimulus.group("category")[:-1]), stimulus.group("category")[-1]
            assert (sign == "+") == (row[axis] > 0)
            assert np.abs(row).max() == abs(row[axis])


@pytest.mark.parametrize(("gathered", "stressed"), [(0.0, 3.0), (2.0, 1.0), (2.0, 3.0)])
def test_the_concepts_words_are_gathered_as_far_as_it_is_said(gathered, stressed):
    """Texts tell of `gathered`, models see `stressed` times as much; controls stand where the pool stands."""
    world = SharedWorld(gathered=gathered, stressed=stressed, words=2000, positives=1000)
    first, last = slice(2000, 3000), slice(3000, 4000)
    latent = world.latent(np.random.default_rng(0))
    for rows, length in ((world.told, gathered), (latent, gathered * stressed)):
        centre = rows[first].mean(axis=0)
        assert np.linalg.norm(centre[:TOLD]) == pytest.approx(length, abs=0.25)
        assert np.abs(centre[TOLD:]).max(initial=0.0) < 0.15
        for others in (slice(0, 2000), last):
            assert np.abs(rows[others].mean(axis=0)).max() < 0.15
        spread = (rows[first] - centre).std(axis=0)
        np.testing.assert_allclose(spread, 1.0, atol=0.12)  # words differ from each other as all words do


def test_a_shared_world_lists_the_pool_then_the_concept_then_its_controls():
    world = SharedWorld(meaning=1.0)
    words = PoolWords(world.run(("shared",), "x", seed=0))
    assert (words.ground, words.n) == (world.words, world.n)
    assert np.flatnonzero(words.focus).tolist() == list(range(world.words, world.words + world.positives))
    assert words.unit.tolist() == [*range(world.positives), *range(world.positives)]
    assert words.control_concepts.count == SETS
    assert not words.control_concepts.shortfall


def test_media_follow_the_label_only_where_it_is_planted():
    def gap(world: MediaWorld, half: str) -> float:
        run = replace(world, pairs=500).run(("crossmodal",), "x", seed=0)
        subject = run.subjects[0 if half == "captions" else 1]
        x = run.read(subject.name, half, subject.sites[-1], "mean")
        return float(np.linalg.norm(x[0::2].mean(axis=0) - x[1::2].mean(axis=0)))

    for half in ("captions", "pictures"):
        assert gap(MediaWorld(), half) < 1.2
        assert gap(MediaWorld(agreement=2.0), half) > 4
        assert gap(MediaWorld(apart=2.0), half) > 4


def test_the_same_names_and_seed_give_the_same_run():
    for row in ROWS:
        one, same, other = (row.world.run(row.questions, "x", seed=seed) for seed in (3, 3, 4))
        subject = one.subjects[0]
        name = next(iter(s for s in one.sets if not s.endswith("pictures")))
        pooling = "mean" if "captions" in name else "concept_span"
        rows = [run.read(subject.name, name, subject.sites[-1], pooling) for run in (one, same, other)]
        np.testing.assert_array_equal(rows[0], rows[1])
        assert not np.array_equal(rows[0], rows[2])
        assert one.settings.seed == same.settings.seed != other.settings.seed


def test_every_row_names_its_questions_and_promises():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert row.says
        assert all(asked.promises for asked in row.asked)
        no_effect = [a for a in row.asked if a.truth == 0.0]
        assert all("never supported" in a.promises for a in no_effect)
