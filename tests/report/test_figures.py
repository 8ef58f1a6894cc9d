"""Figures: a paper's width and fonts, the data as drawn in the CSV, no text over text, the same bytes twice."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from conceptprobe.errors import PictureError, UsageError
from conceptprobe.registry import entries, get
from conceptprobe.report.figures.carried import Carried, carried
from conceptprobe.report.figures.depth_curve import DepthCurve, depth_curve
from conceptprobe.report.figures.null_plot import NullPlot, null_plot
from conceptprobe.report.figures.pictures import Block, Pictures, Tile, pictures
from conceptprobe.report.figures.projection import projection
from conceptprobe.report.figures.projection_media import projection_media
from conceptprobe.report.figures.site_heatmap import site_heatmap
from conceptprobe.report.save import save
from conceptprobe.report.style import ROLES, SMALL_SIZE_POINTS
from report.samples import (
    FIGURES,
    carried_data,
    depth_data,
    heatmap_data,
    null_data,
    pictures_data,
    projection_data,
    projection_media_data,
)

DRAWN: dict[str, tuple[Figure, list[Any]]] = {}


def drawn(name: str) -> tuple[Figure, list[Any]]:
    """Each figure is drawn once for all tests that only look at it."""
    if name not in DRAWN:
        DRAWN[name] = get("figure", name)(FIGURES[name]())
    return DRAWN[name]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [float(row[name]) if row[name] != "" else np.nan for row in rows]


def test_all_figures_are_registered_with_their_data() -> None:
    assert set(FIGURES) <= set(entries("figure"))
    for name, data in FIGURES.items():
        assert entries("figure")[name].about["data"] is type(data())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    folder = tmp_path_factory.mktemp("figures")
    return {name: {p.suffix[1:]: p for p in save(*drawn(name), folder, name)} for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_files_have_a_papers_width_and_fonts(name: str, saved: dict[str, dict[str, Path]]) -> None:
    files = saved[name]
    assert set(files) == {"pdf", "svg", "png", "csv"}
    pdf = files["pdf"].read_bytes()
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", pdf)
    assert box is not None
    assert float(box[1]) == 5.5 * 72
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"DejaVuSans" in pdf
    assert b"/Type3" not in pdf
    svg = files["svg"].read_text()
    assert re.search(r'<svg [^>]*width="396(\.0)?pt"', svg)
    assert "<text" not in svg
    with Image.open(files["png"]) as image:
        assert image.width == 1650
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def undrawn(figure: Figure) -> list[Text]:
    """Labels of ticks outside the limits of their axis: matplotlib keeps them but does not draw them."""
    hidden = []
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        hidden += [tick.label1 for tick in axis.get_major_ticks() if not low - 1e-9 <= tick.get_loc() <= high + 1e-9]
    return hidden


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_covers_another_or_leaves_the_page(name: str) -> None:
    figure, _ = drawn(name)
    figure.canvas.draw()  # a save at another resolution leaves its measures behind
    page = figure.bbox
    boxes = []
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text().strip() or text in undrawn(figure):
            continue
        box = text.get_window_extent()
        boxes.append((text.get_text(), box))
        assert page.x0 - 1 <= box.x0, text.get_text()
        assert box.x1 <= page.x1 + 1, text.get_text()
        assert page.y0 - 1 <= box.y0, text.get_text()
        assert box.y1 <= page.y1 + 1, text.get_text()
    assert len(boxes) > 5
    for (a, box_a), (b, box_b) in combinations(boxes, 2):
        wide = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
        tall = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
        assert wide <= 1.5 or tall <= 1.5, (a, b)  # pixels, of which a small letter is 7 tall


@pytest.mark.parametrize("name", FIGURES)
def test_no_print_is_smaller_than_seven_points(name: str) -> None:
    figure, _ = drawn(name)
    sizes = [t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()]
    assert min(sizes) >= SMALL_SIZE_POINTS


def test_survives_draws_what_its_table_says(saved: dict[str, dict[str, Path]]) -> None:
    rows, (axes,) = rows_of(saved["survives"]["csv"]), drawn("survives")[0].axes
    points = [line for line in axes.lines if line.get_marker() == ROLES["model"].marker]
    squares = [line for line in axes.lines if line.get_marker() == ROLES["static"].marker]
    assert column(rows, "auroc") == [line.get_xdata()[0] for line in points]
    assert column(rows, "reference") == [line.get_xdata()[0] for line in squares]
    model = [line for line in axes.lines if line.get_color() == ROLES["model"].colour]
    spans = [list(line.get_xdata()) for line in model if len(line.get_xdata()) == 2]
    assert spans == [[a, b] for a, b in zip(column(rows, "low"), column(rows, "high"), strict=True)]
    heights = [line.get_ydata()[0] for line in points]
    assert heights == sorted(heights)


def test_depth_curve_draws_what_its_table_says(saved: dict[str, dict[str, Path]]) -> None:
    rows, data = rows_of(saved["depth_curve"]["csv"]), depth_data()
    for axes, model in zip(drawn("depth_curve")[0].axes, data.models, strict=True):
        own = [row for row in rows if row["model"] == model.name]
        trained = [row for row in own if row["kind"] == "trained"]
        curve = next(
            line for line in axes.lines if line.get_color() == ROLES["model"].colour and line.get_marker() == "o"
        )
        assert column(trained, "depth") == list(curve.get_xdata())
        assert column(trained, "auroc") == list(curve.get_ydata())
        for key in ("low", "high", "null_low", "null_high"):
            assert column(trained, key) == list(getattr(model, key))
        assert [row["site"] for row in trained] == list(model.sites)
        twins = [list(line.get_ydata()) for line in axes.lines if line.get_color() == ROLES["twin"].colour]
        assert column([row for row in own if row["kind"] == "twin"], "auroc") == [v for twin in twins for v in twin]
        static = [line for line in axes.lines if line.get_color() == ROLES["static"].colour]
        assert column([row for row in own if row["kind"] == "static"], "auroc") == [
            line.get_ydata()[0] for line in static
        ]


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (1, 1), (30, 12)])
def test_heatmap_draws_what_its_table_says(shape: tuple[int, int]) -> None:
    data = heatmap_data(*shape)
    figure, table = site_heatmap(data)
    image = np.ma.filled(figure.axes[0].images[0].get_array().astype(float), np.nan)
    value = np.array([row["value"] for row in table]).reshape(data.value.shape)
    np.testing.assert_array_equal(value.T if shape[1] < shape[0] else value, image)
    marks = sum(line.get_marker() == "o" for line in figure.axes[0].lines)
    assert marks == sum(bool(row["marked"]) for row in table) == int((data.value - data.reference >= 0.05).sum()) > 0
    assert not any(row["marked"] for row in table if np.isnan(float(row["value"])))


def test_null_plot_draws_what_its_table_says() -> None:
    data = null_data()
    figure, table = null_plot(data)
    for axes, row in zip(figure.axes, data.rows, strict=True):
        own = [entry for entry in table if entry["title"] == row.title]
        bins = [entry for entry in own if entry["item"] == "null bin"]
        heights, edges, _ = axes.patches[0].get_data()
        assert [b["permutations"] for b in bins] == list(heights)
        assert [b["left"] for b in bins] == list(edges[:-1])
        assert sum(heights) == len(row.draws)  # no draw falls outside
        (estimate,) = (entry for entry in own if entry["item"] == "estimate")
        assert (estimate["value"], estimate["low"], estimate["high"]) == (row.value, row.low, row.high)
        assert axes.get_xlim()[0] < min(row.low, row.draws.min())
        assert axes.get_xlim()[1] > max(row.high, row.draws.max())


def test_projection_draws_what_its_table_says_and_says_what_it_is() -> None:
    data = projection_data()
    figure, table = projection(data)
    for axes, keys in zip(figure.axes, (("umap_1", "umap_2"), ("pca_1", "pca_2")), strict=True):
        for scatter, role in zip(axes.collections, ("background", "far", "near", "positive"), strict=True):
            points = [[row[keys[0]], row[keys[1]]] for row in table if row["role"] == role]
            np.testing.assert_array_equal(np.asarray(scatter.get_offsets()), points)
    text = said(figure)
    assert "no statistic comes from them" in text
    assert "seed 0, 15 neighbours, minimum distance 0.1" in text
    named = [t.get_text() for t in figure.axes[0].texts]
    assert named
    assert set(named) <= set(data.named)


def said(figure: Figure) -> str:
    """All text of a figure, in one line."""
    return " ".join(" ".join(t.get_text().split()) for t in figure.findobj(Text))


def test_carried_draws_what_its_table_says() -> None:
    data = carried_data()
    figure, table = drawn("carried")
    (axes,) = figure.axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    concept = [row for row in table if row["kind"] == "concept"]
    assert [float(line.get_xdata()[0]) for line in points] == [row["auroc"] for row in concept]
    hollow = [line.get_markerfacecolor() == "white" for line in points]
    assert hollow == [pair.aside == "ceiling" for pair in data.pairs] == [bool(row["aside"]) for row in concept]
    for dots, pair in zip(axes.collections, data.pairs, strict=True):
        ordinary = [row["auroc"] for row in table if row["kind"] == "ordinary" and row["model_a"] == pair.source]
        assert sorted(np.asarray(dots.get_offsets())[:, 0]) == sorted(ordinary)
    text = said(figure)
    for words in ("n = 84 pictures, 34 units", "background pairs alone", "two towers of one model", "random twins"):
        assert words in text
    assert "relatives" not in text  # nothing is explained that is not there


def test_a_pair_without_ordinary_categories_is_drawn_without_dots() -> None:
    pair = replace(carried_data().pairs[0], ordinary=())
    figure, table = carried(Carried("soul", (pair,)))
    assert len(table) == 1
    assert not figure.axes[0].collections
    assert "categories" not in said(figure)


def test_the_contact_sheet_shows_every_picture_in_the_frame_of_its_label() -> None:
    data = pictures_data()
    figure, table = drawn("pictures")
    assert len(table) == len(figure.axes) == 22
    for axes, row in zip(figure.axes, table, strict=True):
        frame = matplotlib.colors.to_hex(axes.spines["left"].get_edgecolor()).upper()
        assert frame == ROLES[{"concept": "target", "control": "near"}.get(str(row["label"]), "background")].colour
        assert bool(axes.images) == bool(row["file"])
    assert [row["rank"] for row in table if row["model"] == data.blocks[0].model] == [*range(1, 9)] * 2
    text = said(figure)
    assert "trained without it" in text
    assert "no statistic" in text
    assert "$long$" in text  # a caption is text, never mathematics


def test_a_picture_keeps_its_shape(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100), "red").save(tmp_path / "wide.png")
    tile = Tile("a/b/c", tmp_path / "wide.png", "Wide.", "concept", 1.0)
    figure, _ = pictures(Pictures("soul", (Block("m", "embed", (tile,), (), 1),)))
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert (right - left) / (top - bottom) == pytest.approx(3, rel=0.02)
    assert left > 0
    assert right < 1


def test_projection_of_media_tells_modality_by_marker_and_role_by_colour() -> None:
    data = projection_media_data()
    figure, table = drawn("projection_media")
    for axes, keys in zip(figure.axes, (("umap_1", "umap_2"), ("pca_1", "pca_2")), strict=True):
        looks = {}
        for scatter, (role, modality) in zip(
            axes.collections,
            [(r, m) for r in ("background", "control", "concept") for m in ("text", "image")],
            strict=True,
        ):
            points = [
                [row[keys[0]], row[keys[1]]] for row in table if (row["role"], row["modality"]) == (role, modality)
            ]
            np.testing.assert_array_equal(np.asarray(scatter.get_offsets()), points)
            looks[role, modality] = (tuple(scatter.get_facecolor()[0]), len(scatter.get_paths()[0].vertices))
        for role in ("background", "control", "concept"):
            assert looks[role, "text"][0] == looks[role, "image"][0]
            assert looks[role, "text"][1] != looks[role, "image"][1]
        assert len({colour for colour, _ in looks.values()}) == 3
    assert "less the mean of their modality" in said(figure)
    assert "no statistic comes from them" in said(figure)
    named = [t.get_text() for t in figure.axes[0].texts]
    assert named
    assert set(named) <= {data.names[i] for i in data.named}


def test_n_and_null_are_written_in_the_figures() -> None:
    for name, words in {
        "depth_curve": ("n = 1,080 rows, 24 units", "95% of 999 permutations", "95% interval"),
        "null_plot": ("n = 1,080 rows, 24 units", "999 permutations", "p = 0.001"),
        "site_heatmap": ("n = 472 words", "random twins"),
    }.items():
        text = said(drawn(name)[0])
        for word in words:
            assert word in text


def test_same_data_same_bytes_in_another_process_and_no_pyplot(
    tmp_path: Path, saved: dict[str, dict[str, Path]]
) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    code = f"""
import sys
sys.path[:0] = [{tests!r}, {str(Path(tests).parent)!r}]
from pathlib import Path
from report.samples import FIGURES
from conceptprobe.registry import get
from conceptprobe.report.save import save
for name, data in FIGURES.items():
    save(*get("figure", name)(data()), Path({str(tmp_path)!r}), name)
bad = {{"matplotlib.pyplot", "umap", "torch", "pandas"}} & set(sys.modules)
assert not bad, bad
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env={"PYTHONHASHSEED": "77"}
    )
    assert done.returncode == 0, done.stderr
    for name, files in saved.items():
        for kind, path in files.items():
            assert (tmp_path / f"{name}.{kind}").read_bytes() == path.read_bytes(), (name, kind)


def test_the_callers_settings_neither_change_nor_matter(tmp_path: Path, saved: dict[str, dict[str, Path]]) -> None:
    with matplotlib.rc_context({"font.size": 20, "pdf.fonttype": 3, "axes.grid": False, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        files = save(*null_plot(null_data()), tmp_path, "null_plot")
        assert dict(matplotlib.rcParams) == before
    assert files[0].read_bytes() == saved["null_plot"]["pdf"].read_bytes()


def test_a_failed_save_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, table = drawn("null_plot")
    save(figure, table, tmp_path, "f")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def half(path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(KeyboardInterrupt):
        save(figure, table, tmp_path, "f")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_data_that_do_not_fit_together_are_refused() -> None:
    model = depth_data().models[0]
    for wrong in (
        replace(model, auroc=model.auroc[1:]),
        replace(model, depth=model.depth * 0),
        replace(model, twins=model.twins[:, 1:]),
    ):
        with pytest.raises(UsageError, match="minilm"):
            depth_curve(DepthCurve("soul", "x", (wrong,)))
    with pytest.raises(UsageError):
        depth_curve(DepthCurve("soul", "x", ()))
    with pytest.raises(UsageError):
        site_heatmap(replace(heatmap_data(), value=np.zeros((1, 1))))
    with pytest.raises(UsageError):
        null_plot(NullPlot("soul", ()))
    with pytest.raises(UsageError, match="no role is called 'odd'"):
        projection(replace(projection_data(), roles=("odd", *projection_data().roles[1:])))
    with pytest.raises(UsageError):
        projection(replace(projection_data(), maps=replace(projection_data().maps, umap=np.zeros((3, 2)))))
    with pytest.raises(UsageError):
        carried(Carried("soul", ()))
    with pytest.raises(UsageError):
        pictures(Pictures("soul", (Block("m", "embed", (), (), 0),)))
    with pytest.raises(UsageError, match="no label is called 'odd'"):
        pictures(Pictures("soul", (Block("m", "embed", (Tile("a", None, "", "odd", 0.0),), (), 1),)))
    with pytest.raises(PictureError):
        pictures(Pictures("soul", (Block("m", "embed", (Tile("a", Path("gone.png"), "", "concept", 0.0),), (), 1),)))
    media = projection_media_data()
    with pytest.raises(UsageError, match="sound"):
        projection_media(replace(media, modalities=("sound", *media.modalities[1:])))
    with pytest.raises(UsageError):
        projection_media(replace(media, roles=media.roles[1:]))
