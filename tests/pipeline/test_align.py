"""Alignment of arrays: planted truth, the very numbers of the metrics, and parts that fail while the others run."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from conceptprobe import registry
from conceptprobe.alignment.base import Metric
from conceptprobe.alignment.pairs import AT_ONCE
from conceptprobe.errors import MissingError, UsageError
from conceptprobe.pipeline import align as pipeline
from conceptprobe.pipeline.align import AT_ONCE_FROM, NO_TWIN, SiteMap, align, measure, permutations_of
from conceptprobe.pipeline.align_config import USUAL, AlignConfig, Chosen, chosen_metrics, metric_names
from conceptprobe.pipeline.align_files import as_dict, findings_of, said, write_align
from conceptprobe.pipeline.align_sizes import DRAWS
from conceptprobe.pipeline.align_spaces import Items, Space, Spaces, item_means, names_of, read_spaces
from conceptprobe.report.tables import read_findings
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_interval

N, K = 40, 99
KINDS = ("pdf", "svg", "png", "csv")


def planted(rng, strengths, latent, d=12) -> np.ndarray:
    """[n sites d]: each site holds the latent space with its strength, in noise."""
    n, inner = latent.shape
    return np.stack(
        [s * latent @ rng.standard_normal((inner, d)) + rng.standard_normal((n, d)) for s in strengths], axis=1
    )


@pytest.fixture
def here(tmp_path, rng) -> Path:
    """A.npy and B.npy agree at A.1, A.2 and B.1; C.npy agrees with nothing."""
    latent = rng.standard_normal((N, 4))
    np.save(tmp_path / "A.npy", planted(rng, (0.0, 1.0, 1.5), latent))
    np.save(tmp_path / "B.npy", planted(rng, (0.0, 1.0), latent, d=9))
    np.save(tmp_path / "C.npy", rng.standard_normal((N, 7)))
    return tmp_path


def config(folder: Path, *names: str, **values) -> AlignConfig:
    return AlignConfig(**({"files": tuple(folder / name for name in names), "permutations": K} | values))


def table(folder: Path, *columns: str, rows) -> Path:
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder / "t.csv"


def only(maps: list[SiteMap], metric: str, a: str = "A.npy", b: str = "B.npy") -> SiteMap:
    (one,) = [one for one in maps if (one.chosen.name, one.a, one.b) == (metric, a, b)]
    return one


@dataclass(frozen=True)
class Misfit(Metric):
    """A distance that is not symmetric: squared distance, and twice the first column of a."""

    @property
    def least_rows(self) -> int:
        return 2

    def prepare(self, x):
        return np.asarray(x, dtype=np.float64)

    def compare(self, a, b, focus=None) -> float:
        own = (a[:, :1] - b[:, :1]) ** 2 + 2 * a[:, :1]
        return float(own.mean() if focus is None else own[focus].mean())

    def null(self, a, b, permutations, focus=None):
        return np.array([self.compare(a, b[order], focus) for order in permutations])

    def leave_one_out(self, a, b, focus=None):
        kept = [np.arange(len(a)) != i for i in range(len(a))]
        return np.array([self.compare(a[k], b[k], None if focus is None else focus[k]) for k in kept])


@dataclass(frozen=True)
class Broken(Misfit):
    """Fails as a library may, in the middle."""

    def null(self, a, b, permutations, focus=None):
        raise np.linalg.LinAlgError("SVD did not converge")


@dataclass(frozen=True)
class Nothing(Misfit):
    """Gives no number."""

    def compare(self, a, b, focus=None) -> float:
        return float("nan")


@pytest.fixture
def also(monkeypatch):
    """These metrics beside the asked ones, as a plugin's would be."""

    def add(*more: Chosen) -> None:
        monkeypatch.setattr(pipeline, "chosen_metrics", lambda config: [*chosen_metrics(config), *more])

    return add


def test_planted_agreement_is_on_the_map_where_it_is_and_nowhere_else(here):
    aligned = align(config(here, "A.npy", "B.npy", "C.npy"))
    assert not aligned.failures
    truth = np.array([[False, False], [False, True], [False, True]])
    for name in USUAL:
        one = only(aligned.maps, name)
        np.testing.assert_array_equal(one.survives, truth)
        assert one.p[2, 1] == 1 / (K + 1)
        assert not only(aligned.maps, name, "A.npy", "C.npy").survives.any()
    # pair of files first, then metric
    assert [(one.a, one.b) for one in aligned.maps[::3]] == [
        ("A.npy", "B.npy"),
        ("A.npy", "C.npy"),
        ("B.npy", "C.npy"),
    ]


@pytest.mark.parametrize("n", [N, AT_ONCE_FROM + 4])
@pytest.mark.parametrize("name", sorted({*USUAL, *AT_ONCE}))
def test_every_number_is_that_of_the_metric_itself(tmp_path, rng, name, n):
    """Also where all nulls of a map are made at once."""
    metric = registry.get("metric", name)
    latent = rng.standard_normal((n, 4))
    x, y = planted(rng, (0.2, 1.0), latent), planted(rng, (0.5, 0.8), latent, d=9)
    np.save(tmp_path / "A.npy", x)
    np.save(tmp_path / "B.npy", y)
    asked = config(tmp_path, "A.npy", "B.npy", metrics=(name,), permutations=29)
    one = only(align(asked).maps, name)
    orders = permutations_of(n, asked)
    assert (np.sort(orders, axis=1) == np.arange(n)).all()
    assert len(np.unique(orders, axis=0)) == 29
    for i in range(2):
        for j in range(2):
            value = metric(x[:, i], y[:, j])
            null = np.array([metric(x[:, i], y[order, j]) for order in orders])
            assert one.value[i, j] == pytest.approx(value)
            assert one.null_mean[i, j] == pytest.approx(null.mean(), abs=1e-6)
            assert one.null_q95[i, j] == pytest.approx(np.quantile(null, 0.95), abs=1e-6)
            assert one.p[i, j] == add_one_p(value, null)
            left_out = metric.leave_one_out(metric.prepare(x[:, i]), metric.prepare(y[:, j]))
            assert (one.ci_low[i, j], one.ci_high[i, j]) == pytest.approx(jackknife_interval(value, left_out))


def test_a_map_of_nothing_has_a_false_survivor_in_one_case_of_twenty():
    """All cells share words, so their nulls depend on each other; the whole goes through the pipeline."""
    false, cells = 0, 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        own = [rng.standard_normal((16, 3)) for _ in range(2)]
        a, b = (planted(rng, (0.3, 0.6, 1.0), latent, d=5) for latent in own)
        spaces = Spaces(
            [Space(name, {f"{name}.{i}": x[:, i] for i in range(3)}, 16) for name, x in (("A", a), ("B", b))],
            Items(),
        )
        (one,) = measure(spaces, AlignConfig((Path("A"), Path("B")), ("cka",), permutations=39, seed=seed)).maps
        false += bool(one.survives.any())
        cells += int((one.p < 0.05).any())
    assert false <= 8  # 2.5% is exact at 39 draws: p is 1/40; 8 or fewer of 80 in more than 99.97% of cases
    assert cells > 2 * false


def test_rows_of_one_item_are_averaged_whatever_their_order(tmp_path, rng):
    words = [f"w{i}" for i in range(20)]
    rows = [word for word in words for _ in range(3)]
    x, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 4))
    order = rng.permutation(60)
    np.save(tmp_path / "A.npy", x[order])
    np.save(tmp_path / "B.npy", y[order])
    asked = config(
        tmp_path, "A.npy", "B.npy", groups=table(tmp_path, "word", rows=[[rows[i]] for i in order]), group="word"
    )
    aligned = align(asked)
    means = [v.reshape(20, 3, -1).mean(axis=1) for v in (x, y)]
    for name in USUAL:
        one = only(aligned.maps, name)
        assert one.value[0, 0] == pytest.approx(registry.get("metric", name)(*means))
        assert (one.n, one.rows) == (20, 60)
    assert "20 items of 3 rows each" in said(asked, aligned)[0]
    assert (
        "Every row is an item" in said(config(tmp_path, "A.npy", "B.npy"), align(config(tmp_path, "A.npy", "B.npy")))[0]
    )


def test_item_means_are_summed_in_float64(rng):
    x = (1e6 + rng.standard_normal((9000, 3))).astype(np.float32)
    item = rng.integers(0, 7, 9000)
    expected = np.stack([x[item == i].astype(np.float64).mean(axis=0) for i in range(7)])
    np.testing.assert_allclose(item_means(x, item), expected, rtol=1e-12)
    assert item_means(x, None) is x


def test_focus_asks_only_its_items_in_local_metrics(here):
    asks = np.arange(N) < 9
    asked = config(here, "A.npy", "B.npy", groups=table(here, "soul", rows=[[int(a)] for a in asks]), focus="soul")
    aligned = align(asked)
    x, y = np.load(here / "A.npy")[:, 2], np.load(here / "B.npy")[:, 1]
    metric = registry.get("metric", "mutual_knn")
    a, b = metric.prepare(x), metric.prepare(y)
    one = only(aligned.maps, "mutual_knn")
    assert one.value[2, 1] == pytest.approx(metric.compare(a, b, asks))
    assert one.value[2, 1] != pytest.approx(metric.compare(a, b))
    null = metric.null(a, b, permutations_of(N, asked), asks)
    assert one.null_mean[2, 1] == pytest.approx(null.mean())
    assert only(aligned.maps, "cka").value[2, 1] == pytest.approx(registry.get("metric", "cka")(x, y))
    assert any("only the 9 items with 'soul' ask" in line for line in said(asked, aligned))
    assert as_dict(asked, aligned)["focus"] == 9


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1"] * N, "the same in every row"),
        (["1", "maybe"] * (N // 2), "'maybe', neither yes nor no"),
        (["1", "0"] * (N // 2), "differs within one item"),
    ],
)
def test_a_focus_that_says_nothing_is_refused(here, cells, message):
    groups = table(here, "word", "soul", rows=[(f"w{i // 2}", cell) for i, cell in enumerate(cells)])
    with pytest.raises(UsageError, match=message):
        align(config(here, "A.npy", "B.npy", groups=groups, group="word", focus="soul"))


def test_a_metric_that_is_not_symmetric_has_two_rows_and_a_distance_the_other_tail(here, also):
    also(Chosen("misfit", Misfit(), "lower", False, True))
    asked = config(here, "A.npy", "B.npy", metrics=("cka",))
    aligned = align(asked)
    x, y = np.load(here / "A.npy"), np.load(here / "B.npy")
    there, back = only(aligned.maps, "misfit"), only(aligned.maps, "misfit", "B.npy", "A.npy")
    assert there.value[1, 0] == pytest.approx(Misfit()(x[:, 1], y[:, 0]))
    assert back.value[0, 1] == pytest.approx(Misfit()(y[:, 0], x[:, 1]))
    null = np.array([Misfit()(x[:, 2], y[order, 1]) for order in permutations_of(N, asked)])
    assert there.p[2, 1] == (1 + (null <= there.value[2, 1]).sum()) / (K + 1)
    assert there.null_q95[2, 1] == pytest.approx(np.quantile(null, 0.05))
    assert there.z[2, 1] == pytest.approx(-(there.value[2, 1] - null.mean()) / null.std())
    rows = [row for row in findings_of(asked, aligned) if row.metric == "misfit"]
    assert len(rows) == 12
    assert all("Lower is closer." in row.note and "Not symmetric" in row.note for row in rows)
    assert "lower is closer" in " ".join(said(asked, aligned))
    sizes = [size for size in aligned.sizes if size.metric == "misfit"]
    assert [(size.a, size.site_b) for size in sizes] == [("A.npy", "B.1")] * 4 + [("B.npy", "A.2")] * 4


def test_one_metric_that_fails_leaves_the_others(here, also):
    also(Chosen("broken", Broken(), "higher", True, False), Chosen("nothing", Nothing(), "higher", True, False))
    aligned = align(config(here, "A.npy", "B.npy", metrics=("mutual_knn", "cka"), k=N))
    assert [one.chosen.name for one in aligned.maps] == ["cka"]
    told = {failure.what: failure for failure in aligned.failures}
    assert "LinAlgError: SVD did not converge" in told["broken, A.npy and B.npy"].message
    assert "not a number" in told["nothing, A.npy and B.npy"].message
    assert "40 rows are too few: at least 43" in told["mutual_knn, A.npy and B.npy"].message
    assert "smaller --k" in told["mutual_knn, A.npy and B.npy"].hint
    assert {size.metric for size in aligned.sizes} == {"cka"}


def test_k_goes_to_metrics_that_have_it():
    asked = AlignConfig((Path("a"), Path("b")), ("mutual_knn", "cka"), k=3).checked()
    knn, cka = chosen_metrics(asked)
    assert (knn.k, cka.k) == (3, None)
    assert cka.metric is registry.get("metric", "cka")
    assert registry.get("metric", "mutual_knn").k == 10


def test_all_is_every_registered_metric_the_usual_ones_first():
    names = metric_names(("all",))
    assert set(names) == set(registry.entries("metric"))
    assert names[: len(USUAL)] == USUAL
    assert metric_names(("rsa", "all", "rsa"))[0] == "rsa"
    with pytest.raises(UsageError, match="Did you mean 'mutual_knn'"):
        metric_names(("mutual_kn",))


def test_every_registered_metric_goes_through(tmp_path, rng):
    latent = rng.standard_normal((36, 3))
    for name in "AB":
        np.save(tmp_path / f"{name}.npy", planted(rng, (1.0,), latent, d=4)[:, 0])
    aligned = align(config(tmp_path, "A.npy", "B.npy", metrics=("all",), k=4, permutations=20))
    measured = {one.chosen.name for one in aligned.maps}
    assert measured | {failure.what.split(",")[0] for failure in aligned.failures} == set(registry.entries("metric"))
    assert measured >= set(USUAL)
    for one in aligned.maps:
        assert np.isfinite([one.value, one.p, one.z, one.p_map, one.null_mean, one.null_q95]).all()


def test_a_site_with_nan_is_left_out_and_the_others_run(here, rng):
    x = np.load(here / "A.npy")
    bad = x.copy()
    bad[7, 1, 3] = np.nan
    np.savez(here / "bad.npz", early=bad[:, 0], late=bad[:, 1], last=bad[:, 2], still=np.ones((N, 3)))
    aligned = align(config(here, "bad.npz", "B.npy"))
    assert [failure.what for failure in aligned.failures] == ["bad.npz, site late", "bad.npz, site still"]
    assert "NaN or Inf in 1 of 40 rows: 7 (from 0), first in column 3 of row 7" in aligned.failures[0].message
    assert "all 40 items are the same" in aligned.failures[1].message
    assert only(aligned.maps, "cka", "bad.npz").sites_a == ("early", "last")


def test_files_of_other_lengths_are_left_out_and_the_others_run(here, rng):
    np.save(here / "short.npy", rng.standard_normal((N - 1, 4)))
    aligned = align(config(here, "A.npy", "short.npy", "B.npy", metrics=("cka",)))
    assert [(one.a, one.b) for one in aligned.maps] == [("A.npy", "B.npy")]
    assert [failure.message for failure in aligned.failures] == [
        "A.npy has 40 rows, short.npy has 39",
        "short.npy has 39 rows, B.npy has 40",
    ]
    groups = table(here, "word", rows=[[i] for i in range(N)])
    aligned = align(config(here, "A.npy", "short.npy", "B.npy", metrics=("cka",), groups=groups, group="word"))
    assert [failure.message for failure in aligned.failures] == ["short.npy has 39 rows, t.csv has 40"]


def test_where_nothing_can_be_compared_the_reason_is_the_error(here, rng):
    np.save(here / "short.npy", rng.standard_normal((N - 1, 4)))
    np.save(here / "turned.npy", rng.standard_normal((7, N)))
    with pytest.raises(UsageError, match=r"nothing could be compared: A.npy and short.npy: A.npy has 40 rows, short"):
        align(config(here, "A.npy", "short.npy"))
    with pytest.raises(UsageError) as caught:
        align(config(here, "C.npy", "turned.npy"))
    assert "transpose" in caught.value.hint
    with pytest.raises(UsageError, match="too few"):
        align(config(here, "A.npy", "B.npy", metrics=("mutual_knn",), k=60))


def test_constant_columns_copies_and_many_dimensions_are_told(tmp_path, rng):
    x = rng.standard_normal((30, 40))
    x[:, 5] = 2.0
    x[20:] = x[:10]
    np.save(tmp_path / "A.npy", x)
    np.save(tmp_path / "B.npy", rng.standard_normal((30, 4)))
    warnings = "\n".join(align(config(tmp_path, "A.npy", "B.npy", metrics=("cka",), k=5)).warnings)
    for words in (
        "A.npy, site A: 1 of 40 columns are constant",
        "A.npy, site A: 10 of 30 items are exact copies",
        "A.npy, site A: 40 dimensions for 30 items",
        "99 permutations: p is coarse",
        "--k 5 changes nothing",
    ):
        assert words in warnings
    assert "B.npy, site" not in warnings


def test_too_little_memory_is_said_before_it_is_taken(here, monkeypatch):
    monkeypatch.setattr(pipeline.os, "sysconf", lambda name: 100)
    with pytest.raises(UsageError, match=r"cka: 40 items at 5 sites need about"):
        align(config(here, "A.npy", "B.npy", metrics=("cka",)))


def test_score_against_n_is_that_of_the_last_sites_at_four_sizes(here):
    aligned = align(config(here, "A.npy", "B.npy", "C.npy"))
    for name in USUAL:
        sizes = [size for size in aligned.sizes if size.metric == name]
        assert [size.n for size in sizes] == [5, 10, 20, 40]
        assert {(size.a, size.b, size.site_a, size.site_b) for size in sizes} == {("A.npy", "B.npy", "A.2", "B.1")}
        one = only(aligned.maps, name)
        assert sizes[-1].mean == one.value[2, 1]
        assert (sizes[-1].ci_low, sizes[-1].ci_high) == (one.ci_low[2, 1], one.ci_high[2, 1])
        assert np.isnan(sizes[-1].sd)
        assert sizes[2].subsamples == DRAWS
        assert sizes[2].sd > 0
        assert abs(sizes[2].mean - sizes[-1].mean) < 5 * sizes[2].sd + 0.2
    knn = [size for size in aligned.sizes if size.metric == "mutual_knn"]
    assert [np.isnan(size.mean) for size in knn] == [True, True, False, False]
    assert "10 rows are too few" in knn[1].note
    assert knn[2].null_mean == pytest.approx(10 / 19, abs=0.03)
    assert knn[3].null_mean == pytest.approx(10 / 39, abs=0.03)


def test_subsamples_keep_the_share_of_the_focus(here):
    groups = table(here, "soul", rows=[[int(i < 8)] for i in range(N)])
    aligned = align(config(here, "A.npy", "B.npy", groups=groups, focus="soul", metrics=("mutual_knn",), k=2))
    assert all(np.isfinite(size.mean) for size in aligned.sizes if size.n >= 5)


def test_swapping_the_files_turns_the_map(here):
    there = only(align(config(here, "A.npy", "B.npy")).maps, "rsa")
    back = only(align(config(here, "B.npy", "A.npy")).maps, "rsa", "B.npy", "A.npy")
    np.testing.assert_allclose(back.value, there.value.T)
    np.testing.assert_allclose(back.ci_low, there.ci_low.T)


def test_the_same_input_gives_the_same_numbers_and_another_seed_another_null(here):
    asked = config(here, "A.npy", "B.npy")
    one, same, other = (as_dict(c, align(c)) for c in (asked, asked, replace(asked, seed=1)))
    assert json.dumps(one) == json.dumps(same)
    for a, b in zip(one["cells"], other["cells"], strict=True):
        assert a["value"] == b["value"]
        assert a["null_mean"] != b["null_mean"]


def test_formats_agree_and_a_float_array_stays_on_disk(here):
    from safetensors.numpy import save_file

    b = np.load(here / "B.npy")
    np.savez(here / "B.npz", **{f"B.{i}": b[:, i] for i in range(2)})
    save_file({f"B.{i}": np.ascontiguousarray(b[:, i]) for i in range(2)}, here / "B.safetensors")
    values = [
        only(align(config(here, "A.npy", name, metrics=("cka",))).maps, "cka", b=name).value
        for name in ("B.npy", "B.npz", "B.safetensors")
    ]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    (space,) = [s for s in read_spaces(config(here, "A.npy", "C.npy")).files if s.name == "C.npy"]
    assert isinstance(space.sites["C"], np.memmap)


def test_sites_are_picked_by_name(here):
    asked = config(here, "A.npy", "B.npy", sites=("A.1", "A.2", "B.1"), metrics=("cka",))
    one = only(align(asked).maps, "cka")
    assert (one.sites_a, one.sites_b) == (("A.1", "A.2"), ("B.1",))
    with pytest.raises(UsageError, match=r"no file has a site 'A.9'.*Did you mean"):
        align(replace(asked, sites=("A.9",)))
    with pytest.raises(UsageError, match="has none of the sites named"):
        align(replace(asked, sites=("A.1",)))


def test_names_tell_files_apart():
    files = [Path("x/acts.npy"), Path("y/acts.npy"), Path("B.npy"), Path("B.npy")]
    names = names_of(files)
    assert names[:2] == ["x/acts.npy", "y/acts.npy"]
    assert len(set(names)) == 4


def test_a_file_can_be_compared_with_itself(here):
    aligned = align(config(here, "A.npy", "A.npy"))
    one = only(aligned.maps, "cka", b="A.npy (2)")
    np.testing.assert_allclose(np.diag(one.value), 1.0)
    assert any("given twice" in warning for warning in aligned.warnings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"permutations": 10}, "smallest p would be 0.091"),
        ({"k": 0}, "one or more"),
        ({"seed": -1}, "negative"),
        ({"group": "word"}, "of which table"),
        ({"groups": Path("t.csv")}, "which of its columns"),
        ({"groups": Path("t.csv"), "group": "a", "focus": "a"}, "cannot name the items"),
        ({"files": (Path("a.npy"),)}, "compares two or more"),
    ],
)
def test_what_cannot_be_asked_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        AlignConfig(**({"files": (Path("a.npy"), Path("b.npy"))} | values)).checked()


def test_missing_files_and_tables_are_missing(here):
    with pytest.raises(MissingError, match="no file"):
        align(config(here, "A.npy", "absent.npy"))
    with pytest.raises(MissingError, match="no file"):
        align(config(here, "A.npy", "B.npy", groups=here / "absent.csv", group="word"))
    with pytest.raises(UsageError, match="Did you mean 'word'"):
        align(config(here, "A.npy", "B.npy", groups=table(here, "word", rows=[[1]]), group="wrd"))
    with pytest.raises(UsageError, match="no rows"):
        align(config(here, "A.npy", "B.npy", groups=table(here, "word", rows=[]), group="word"))


def test_the_headline_is_fixed_beforehand_and_is_no_verdict(here):
    asked = config(here, "A.npy", "B.npy", "C.npy")
    rows = findings_of(asked, align(asked))
    heads = [row for row in rows if row.headline]
    assert [(row.metric, row.site_a, row.site_b) for row in heads] == [
        ("cka", "A.2", "B.1"),
        ("cka", "A.2", "C"),
        ("cka", "B.1", "C"),
    ]
    assert {row.verdict for row in heads} == {"inconclusive"}
    assert {row.verdict for row in rows if not row.headline} == {"detail"}
    assert all(NO_TWIN in row.note for row in heads)
    for row in rows:
        assert row.effect == row.estimate - row.reference
        assert row.ci_low <= row.effect <= row.ci_high
        assert (row.n, row.units) == (N, N)


def test_what_is_written_is_what_was_found(here):
    asked = config(here, "A.npy", "B.npy", metrics=("cka",))
    aligned = align(asked)
    paths = write_align(here / "out", asked, aligned)
    assert all(path.exists() for path in paths)
    assert sorted(path.name for path in paths) == sorted(
        [
            *(f"{name}.{kind}" for name in ("site_heatmap-A-B-cka", "score_against_n") for kind in KINDS),
            "findings.csv", "findings.parquet", "align.json",
        ]
    )  # fmt: skip
    assert len(read_findings(here / "out" / "findings.csv")) == 6
    record = json.loads((here / "out" / "align.json").read_text())
    one = only(aligned.maps, "cka")
    with (here / "out" / "site_heatmap-A-B-cka.csv").open() as file:
        drawn = list(csv.DictReader(file))
    for cell, row, value in zip(record["cells"], drawn, one.value.ravel(), strict=True):
        assert cell["value"] == float(row["value"]) == value
        assert str(cell["survives"]) == row["survives"]
    assert record["against_n"][-1]["sd"] is None
    assert record["said"][-1] == NO_TWIN


def test_one_site_each_has_no_map(here):
    np.save(here / "D.npy", np.load(here / "A.npy")[:, 2])
    asked = config(here, "C.npy", "D.npy", metrics=("cka",))
    aligned = align(asked)
    assert aligned.maps[0].p_map[0, 0] == pytest.approx(aligned.maps[0].p[0, 0])
    assert aligned.sizes[-1].n == N
    names = {path.name for path in write_align(here / "out", asked, replace(aligned, sizes=[]))}
    assert names == {"findings.csv", "findings.parquet", "align.json"}
