"""The figures of `conceptprobe align`: the map with its survivors, and score against n."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from conceptprobe.errors import UsageError
from conceptprobe.report.figures.score_against_n import MetricSizes, ScoreAgainstN, score_against_n
from conceptprobe.report.figures.site_heatmap import SiteHeatmap, site_heatmap
from conceptprobe.report.style import ROLES
from report.samples import sizes_data, survivors_data
from report.test_figures import said, undrawn


def covered(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie over one another, and texts that leave the page."""
    figure.canvas.draw()
    hidden = undrawn(figure)
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    page = figure.bbox
    out = [
        (name, "page")
        for name, box in boxes
        if box.x0 < -1 or box.x1 > page.x1 + 1 or box.y0 < -1 or box.y1 > page.y1 + 1
    ]
    for (a, box_a), (b, box_b) in combinations(boxes, 2):
        wide = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
        tall = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
        if wide > 1.5 and tall > 1.5:
            out.append((a, b))
    return out


def outline(figure: Figure) -> set[tuple[float, float, float, float]]:
    (lines,) = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    return {tuple(np.sort(np.asarray(segment), axis=0).ravel()) for segment in lines.get_segments()}


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (0, 0), (30, 12)])
def test_the_outline_lies_around_the_cells_that_survive(shape):
    data = survivors_data(*shape)
    assert data.survivors is not None
    figure, table = site_heatmap(data)
    marks = np.array([row["survives"] for row in table]).reshape(data.value.shape)
    assert 0 < marks.sum() < marks.size
    np.testing.assert_array_equal(marks, data.survivors.survives)
    turned = marks.T if marks.shape[1] < marks.shape[0] else marks
    edges: dict[tuple[float, float, float, float], int] = {}
    for i, j in np.argwhere(turned):
        for edge in (
            (j - 0.5, i - 0.5, j + 0.5, i - 0.5),
            (j - 0.5, i + 0.5, j + 0.5, i + 0.5),
            (j - 0.5, i - 0.5, j - 0.5, i + 0.5),
            (j + 0.5, i - 0.5, j + 0.5, i + 0.5),
        ):
            edges[edge] = edges.get(edge, 0) + 1
    assert outline(figure) == {edge for edge, times in edges.items() if times == 1}
    assert not covered(figure)
    text = said(figure)
    assert f"({marks.sum()} of {marks.size} cells)" in text
    assert "999 permutations" in text
    assert "n = 472 items" in text
    assert "twins" not in text


def test_the_closer_end_is_the_bright_one():
    data = survivors_data()
    for closer in ("higher", "lower"):
        image = site_heatmap(replace(data, closer=closer))[0].axes[0].images[0]
        low, high = (sum(image.cmap(image.norm(v))[:3]) for v in (np.nanmin(data.value), np.nanmax(data.value)))
        assert (high > low) == (closer == "higher")
    assert "lower is closer" in said(site_heatmap(replace(data, closer="lower"))[0])


def test_numbered_sites_of_a_file_are_named_by_their_number():
    data = survivors_data(6, 3)
    named = replace(
        data,
        model_a="A.npy",
        model_b="acts.npz",
        sites_a=tuple(f"A.{i}" for i in range(8)),
        sites_b=("early", "mid", "late", "later", "last"),
    )
    figure, _ = site_heatmap(named)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == [str(i) for i in range(8)]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["early", "mid", "late", "later", "last"]
    assert "number i" not in said(figure)


def test_survivors_of_another_shape_are_refused():
    data = survivors_data()
    assert data.survivors is not None
    with pytest.raises(UsageError):
        site_heatmap(replace(data, survivors=replace(data.survivors, z=np.zeros((1, 1)))))


@pytest.mark.parametrize("metrics", [1, 2, 3, 5])
def test_score_against_n_draws_what_its_table_says(metrics):
    data = sizes_data(metrics)
    figure, table = score_against_n(data)
    assert not covered(figure)
    assert len(figure.axes) == metrics
    for axes, metric in zip(figure.axes, data.metrics, strict=True):
        own = [row for row in table if row["metric"] == metric.name]
        null, mean = axes.lines
        np.testing.assert_array_equal(mean.get_ydata(), [row["mean"] for row in own])
        np.testing.assert_array_equal(mean.get_xdata(), [row["n"] for row in own])
        np.testing.assert_array_equal(null.get_ydata(), [row["null_mean"] for row in own])
        assert null.get_color() == ROLES["twin"].colour
        bars = [c for c in axes.collections if isinstance(c, LineCollection)]
        ends = [tuple(np.asarray(bar.get_segments()[0])[:, 1]) for bar in bars]
        assert ends == ([(own[-1]["ci_low"], own[-1]["ci_high"])] if np.isfinite(metric.ci[0]) else [])
        assert any(isinstance(c, PolyCollection) for c in axes.collections)
    text = said(figure)
    for words in ("n = 20,000 items", "10 subsamples", "null at the same n", "95% interval"):
        assert words in text
    if metrics == 5:
        assert "from n = 10,000" in text
        assert "lower is closer" in text


def test_a_score_at_one_n_alone_is_drawn():
    one = MetricSizes("cka", (5,), (0.3,), (float("nan"),), (0.0,), (0.1, 0.5))
    figure, table = score_against_n(ScoreAgainstN(("a", "b"), ("x", "y"), (one,), 1))
    assert len(table) == 1
    assert not covered(figure)


def test_sizes_that_do_not_fit_together_are_refused():
    data = sizes_data()
    for wrong in (
        (),
        (replace(data.metrics[0], n=(1, 2)),),
        (replace(data.metrics[0], n=(4, 3, 2, 1)),),
    ):
        with pytest.raises(UsageError):
            score_against_n(replace(data, metrics=wrong))


def test_a_map_with_twins_is_as_before():
    data = replace(survivors_data(), survivors=None, reference=np.full(survivors_data().value.shape, 0.3))
    assert isinstance(data, SiteHeatmap)
    figure, table = site_heatmap(data)
    assert not figure.axes[0].collections
    assert {"reference", "effect", "marked"} <= set(table[0])
