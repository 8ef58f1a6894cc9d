"""The human anchor: planted agreement is found, its absence is not, words are the units, and what cannot be said is not."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from conceptprobe.evidence.anchored import (
    FEWEST_PAIRS,
    agreement,
    anchored,
    anchors,
    centred,
    dyadic_error,
    renamings,
    similarities,
    spearman,
)
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.models.base import ModelInfo
from conceptprobe.models.cooccurrence import CooccurrenceVectors
from conceptprobe.stats.auroc import Z95
from conceptprobe.stimuli import expand_background, load_background
from conceptprobe.stimuli.judgements import Judgements, load_judgements

WORDS, WIDTH = 40, 12
NAMES = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(WORDS)]


def scattered(rng: np.random.Generator, pairs: int = 60) -> np.ndarray:
    """Pairs of words as a table has them: most words in two or three."""
    every = np.array(list(combinations(range(WORDS), 2)))
    return every[np.sort(rng.permutation(len(every))[:pairs])]


def space(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((WORDS, WIDTH))


def measured(spaces, pairs, scores, seed=0, draws=199):
    renamed = list(renamings(pairs, draws, np.random.default_rng(seed)))
    return agreement([centred(x) for x in spaces], pairs, scores, renamed)


def table(pairs: np.ndarray, scores: np.ndarray, name: str = "T") -> Judgements:
    return Judgements(name, tuple((NAMES[a], NAMES[b], float(s)) for (a, b), s in zip(pairs, scores, strict=True)), "")


@settings(max_examples=60)
@given(st.integers(3, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_spearman_is_scipys_with_ties(n, levels, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, levels + 1, (4, n)), rng.integers(0, levels + 1, n)
    expected = [0.0 if np.ptp(a) == 0 or np.ptp(y) == 0 else stats.spearmanr(a, y).statistic for a in x]
    np.testing.assert_allclose(spearman(x, y), expected, atol=1e-12)


def test_cosines_are_those_of_rows_centred_on_the_whole_pool(rng):
    x, pairs = space(rng) + 5.0, scattered(rng)
    y = x - x.mean(axis=0)
    expected = [y[a] @ y[b] / np.linalg.norm(y[a]) / np.linalg.norm(y[b]) for a, b in pairs]
    np.testing.assert_allclose(similarities(centred(x), pairs), expected, atol=1e-9)


def test_a_word_at_the_mean_of_the_pool_is_like_no_other():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]) + 3.0
    assert np.all(similarities(centred(x), np.array([[0, 1], [0, 2], [0, 3]])) == 0.0)


def test_words_that_vectors_do_not_know_are_not_alike_and_move_no_other(rng):
    x, few = space(rng) + 5.0, [0, 1]
    x[few] = 0.0
    pairs = np.array([[0, 1], [0, 5], [7, 5], [9, 8]])
    found = similarities(centred(x), pairs)
    assert found[:2] == pytest.approx([0.0, 0.0])
    np.testing.assert_array_equal(found[2:], similarities(centred(x[2:]), pairs[2:] - 2))
    assert not centred(np.zeros((3, 2))).any()


def test_scores_that_rise_with_the_cosines_agree_wholly_and_falling_ones_not_at_all(rng):
    x, pairs = space(rng), scattered(rng)
    cosines = similarities(centred(x), pairs)
    found = measured([x, space(rng)], pairs, np.exp(3 * cosines))
    assert found.estimate == pytest.approx(1.0)
    assert found.p == pytest.approx(1 / 200)
    assert found.ci_low > 0.5
    assert found.null_q95 < 0.5
    assert abs(found.null_mean) < 0.1
    turned = measured([x, space(rng)], pairs, -cosines)
    assert turned.estimate == pytest.approx(-1.0)
    assert turned.p == 1.0
    assert turned.ci_high < 0


@pytest.mark.slow
def test_of_unrelated_models_p_is_uniform_and_the_interval_holds_nothing_in_95_of_100(rng):
    pairs = scattered(rng)
    runs = [measured([space(rng), space(rng)], pairs, rng.standard_normal(len(pairs)), draws=99) for _ in range(200)]
    p = np.array([r.p for r in runs])
    held = np.mean([r.ci_low <= 0 <= r.ci_high for r in runs])
    # 200 exact tests: 3.3 binomial standard errors about 5%, and about 95%
    assert np.mean(p <= 0.05) <= 0.10
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert 0.90 <= held <= 0.995


def test_rotation_scale_and_shift_change_nothing(rng):
    x, twin, pairs = space(rng), space(rng), scattered(rng)
    scores = similarities(centred(x), pairs) + 0.3 * rng.standard_normal(len(pairs))
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    plain = measured([x, twin], pairs, scores)
    moved = measured([7.0 * x @ turn + rng.standard_normal(WIDTH), 0.01 * twin @ turn], pairs, scores)
    for name in ("estimate", "reference", "ci_low", "ci_high", "null_mean", "null_q95", "p"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name), abs=1e-12), name
    risen = measured([x, twin], pairs, np.exp(scores) * 10 - 3)
    assert risen == plain


def test_the_interval_is_that_of_words_and_pairs_left_out_by_hand(rng):
    x, twins, pairs = space(rng), [space(rng), space(rng)], scattered(rng)
    scores = similarities(centred(x), pairs) + 0.3 * rng.standard_normal(len(pairs))

    def gain(kept):
        own, *others = (
            stats.spearmanr(similarities(centred(s), pairs[kept]), scores[kept]).statistic for s in (x, *twins)
        )
        return own - np.mean(others)

    def variance(values):
        return (len(values) - 1) / len(values) * np.sum((values - np.mean(values)) ** 2)

    words = np.array([gain([i for i, p in enumerate(pairs) if w not in p]) for w in np.unique(pairs)])
    alone = np.array([gain([i for i in range(len(pairs)) if i != j]) for j in range(len(pairs))])
    half = Z95 * np.sqrt(max(variance(words) - variance(alone), variance(alone)))
    found = measured([x, *twins], pairs, scores)
    effect = gain(list(range(len(pairs))))
    assert found.estimate - found.reference == pytest.approx(effect)
    assert (found.ci_low, found.ci_high) == pytest.approx((effect - half, effect + half))
    assert (found.n, found.units) == (len(pairs), len(np.unique(pairs)))


def test_where_no_word_is_in_two_pairs_the_error_is_that_of_pairs(rng):
    """A jackknife over words alone would count each pair twice."""
    of_pairs = rng.standard_normal(30)
    assert dyadic_error(np.repeat(of_pairs, 2), of_pairs) == pytest.approx(
        np.sqrt(29 / 30 * np.sum((of_pairs - of_pairs.mean()) ** 2)), rel=0.02
    )


def test_renaming_keeps_words_whole(rng):
    pairs = scattered(rng)
    for renamed in renamings(pairs, 20, rng):
        names = {}
        for old, new in zip(pairs.ravel(), renamed.ravel(), strict=True):
            assert names.setdefault(old, new) == new
        assert len(set(names.values())) == len(names)
        assert set(names.values()) == set(np.unique(pairs))


def test_the_null_is_the_correlation_under_each_renaming(rng):
    x, pairs = space(rng), scattered(rng)
    scores = rng.standard_normal(len(pairs))
    renamed = list(renamings(pairs, 50, rng))
    null = [stats.spearmanr(similarities(centred(x), r), scores).statistic for r in renamed]
    found = agreement([centred(x)], pairs, scores, renamed)
    assert found.null_mean == pytest.approx(np.mean(null))
    assert found.null_q95 == pytest.approx(np.quantile(null, 0.95))
    assert found.p == (1 + np.sum(np.array(null) >= found.estimate - 1e-12)) / 51
    assert (found.reference, found.reference_kind) == (0.0, "no correlation")


def test_tables_that_cannot_carry_a_correlation_are_left_out_with_a_reason(rng):
    pairs = scattered(rng)
    star = np.array([(0, i) for i in range(1, 31)])
    scores = rng.standard_normal(len(pairs))
    unknown = Judgements("elsewhere", (("tea", "cup", 3.0),), "")
    found = anchors(
        [*(n.upper() for n in NAMES)],
        [
            table(pairs, scores),
            table(pairs[: FEWEST_PAIRS - 1], scores[: FEWEST_PAIRS - 1], "short"),
            table(pairs, np.ones(len(pairs)), "flat"),
            table(star, rng.standard_normal(30), "star"),
            unknown,
        ],
    )
    assert [a.reason for a in found] == [
        "",
        f"fewer than {FEWEST_PAIRS}",
        "all have one score",
        "one word is in more than half of them",
        f"fewer than {FEWEST_PAIRS}",
    ]
    np.testing.assert_array_equal(found[0].pairs, pairs)
    np.testing.assert_array_equal(found[0].scores, scores)
    assert found[0].sentence == "T: 60 of 60 pairs have both words in the pool"
    assert found[4].sentence == "elsewhere: 0 of 1 pairs have both words in the pool; left out: fewer than 20"


def subject(name, kind="trained", twins=(), modality="text"):
    info = ModelInfo(name, "", "", name, "planted", (modality,), 3, WIDTH, 0, "float32", (), kind)
    return Subject(info, ("embed", "resid_post.0"), tuple(subject(t, "twin") for t in twins))


@pytest.fixture
def planted(rng):
    """A model that ranks as people do, one that does not, word vectors, pictures, twins of all; and the run."""
    pairs = scattered(rng)
    models = (
        subject("human", twins=("random:human#0", "random:human#1")),
        subject("odd", twins=("random:odd#0",)),
        subject("words:x", "static"),
        subject("eyes", twins=("random:eyes#0",), modality="image"),
    )
    spaces = {n: space(rng) for m in models for n in (m.name, *(t.name for t in m.twins))}
    scores = similarities(centred(spaces["human"]), pairs)
    run = RunContext(
        "r", "c", {"shared": 0.05}, (5, 3), {}, models, lambda *_: pytest.fail("files are nobody's business")
    )
    asked = []

    def vectors(of, site):
        asked.append((of.name, site))
        return np.concatenate([spaces[of.name], rng.standard_normal((7, WIDTH))])  # terms of the concept come last

    return run, spaces, vectors, asked, table(pairs, scores)


def site(of):
    return "resid_post.0" if of.info.kind == "trained" else "embed"


def test_each_text_model_is_a_detail_row_per_table(planted):
    run, spaces, vectors, asked, human = planted
    rows = anchored(run, NAMES, vectors, site, [human, replace(human, name="U"), replace(human, name="V", pairs=())])
    assert [(r.model_a, r.metric) for r in rows] == [
        (model, f"spearman (human similarity: {t})") for model in ("human", "odd", "words:x") for t in "TU"
    ]
    for row in rows:
        assert (row.question, row.verdict, row.headline, row.model_b) == ("shared", "detail", False, "")
        assert row.effect == pytest.approx(row.estimate - row.reference)
        assert row.ci_low < row.effect < row.ci_high
        assert (row.n, row.units) == (60, len({w for p in human.pairs for w in p[:2]}))
        assert row.split == f"60 pairs of {row.units} words of the pool"
        assert row.note.endswith("Left out, fewer than 20: V (0 pairs).")
        assert "199 draws." in row.note
        assert row.smallest_effect == 0.05
    first, _, odd, _, static, _ = rows
    assert first.estimate == pytest.approx(1.0)
    assert first.p == pytest.approx(1 / 200)
    pairs = np.array([(NAMES.index(a), NAMES.index(b)) for a, b, _ in human.pairs])
    scores = [s for *_, s in human.pairs]
    twins = [
        stats.spearmanr(similarities(centred(spaces[f"random:human#{i}"]), pairs), scores).statistic for i in (0, 1)
    ]
    assert first.reference == pytest.approx(np.mean(twins))
    assert first.reference_kind == "random twins (mean of 2)"
    assert (first.site_a, static.site_a) == ("resid_post.0", "embed")
    assert odd.p > 0.01
    assert static.reference_kind == "no correlation"
    assert static.note.startswith("A static model")
    assert ("random:human#1", "resid_post.0") in asked
    assert not [name for name, _ in asked if "eyes" in name]
    assert len(asked) == len(set(asked))


def test_the_rows_follow_the_seed_and_nothing_else(planted):
    run, _, vectors, _, human = planted
    rows = anchored(run, NAMES, vectors, site, [human])
    assert anchored(run, NAMES, vectors, site, [replace(human, name="U"), human])[1::2] == rows
    other = anchored(replace(run, settings=replace(run.settings, seed=1)), NAMES, vectors, site, [human])
    assert [r.estimate for r in other] == [r.estimate for r in rows]
    assert [r.null_mean for r in other] != [r.null_mean for r in rows]


def test_one_similarity_for_all_pairs_is_said_in_place_of_numbers(planted):
    """Word counts put every word at a right angle to every other: their cosines differ by rounding alone."""
    run, _, _, _, human = planted
    rows = anchored(run, NAMES, lambda of, _: np.eye(WORDS), site, [human])
    assert len(rows) == 3
    for row in rows:
        assert all(np.isnan(v) for v in (row.estimate, row.effect, row.ci_low, row.ci_high, row.p, row.null_mean))
        assert "no order to compare" in row.note


def test_no_table_no_rows_and_no_model_read(planted):
    run, _, vectors, asked, human = planted
    assert anchored(run, NAMES, vectors, site, []) == []
    assert anchored(run, NAMES[:4], vectors, site, [human]) == []
    assert asked == []


def test_word_vectors_rank_how_related_words_are_as_people_do(shared_data):
    """Real vectors and MEN, which asked for relatedness: no renaming of words does as well."""
    folder = shared_data / "data" / "word-similarity" if shared_data else None
    if folder is None or not folder.is_dir():
        pytest.skip("the published tables are not beside the project")
    names = list(dict.fromkeys(s.group("word") for s in expand_background(load_background())))
    vectors = CooccurrenceVectors.load()
    x = np.array([vectors.mean([name]) for name in names])
    (men,) = (a for a in anchors(names, load_judgements(folder)) if "MEN" in a.table)
    assert not men.reason
    found = measured([x], men.pairs, men.scores)
    assert found.p <= 0.05
    assert found.ci_low > 0
