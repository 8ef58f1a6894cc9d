"""The figures of several models at once: the matrix of models, and two dissimilarity matrices side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, groupby, pairwise, permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from conceptprobe.errors import UsageError
from conceptprobe.registry import entries
from conceptprobe.report.figures.model_matrix import STRIP_COLOURS, ModelMatrix, model_matrix
from conceptprobe.report.figures.rdm_pair import RdmPair, rdm_pair
from conceptprobe.report.labels import wrap_name
from conceptprobe.report.numbers import number
from conceptprobe.report.save import save
from conceptprobe.report.style import INK, ROLES, SMALL_SIZE_POINTS
from report.test_align_figures import covered
from report.test_figures import rows_of, said
from report.test_style import VISION, difference

TWELVE = (
    ("sentence-transformers/all-MiniLM-L6-v2", "text", "trained", 0),
    ("openai-community/gpt2-medium", "text", "trained", 1),
    ("openai/clip-vit-base-patch32", "text", "trained", 2),
    ("openai/clip-vit-base-patch32", "image", "trained", 2),
    ("facebook/dinov2-with-registers-base", "image", "trained", 3),
    ("words:cooccurrence", "text", "static", 4),
    ("EleutherAI/pythia-410m-deduped", "text", "trained", 1),
    ("laion/clap-htsat-unfused", "audio", "trained", 5),
    ("pocket-lm", "text", "trained", 6),
    ("pocket-vision", "image", "trained", 6),
    ("google/siglip-base-patch16-224", "image", "trained", 7),
    ("meta-llama/Llama-3.2-1B", "text", "trained", 8),
)
"""Model, modality, kind, and a number that relatives share."""


def matrix_data(m: int = 12, seed: int = 0) -> ModelMatrix:
    """The first m models: relatives are close, static models fairly, two pairs were not measured."""
    rng = np.random.default_rng(seed)
    names, modalities, kinds, families = (tuple(x) for x in zip(*TWELVE[:m], strict=True))
    place = rng.normal(size=(m, 3)) + np.array(
        [[modality == "text", modality == "image", 0] for modality in modalities]
    )
    value = 0.75 * np.exp(-((place[:, None] - place) ** 2).sum(-1) / 4) + 0.02
    kin = np.equal.outer(families, families)
    value = np.where(kin, 0.62 + 0.1 * value, value)
    np.fill_diagonal(value, np.nan)
    if m > 5:
        value[0, 5] = value[5, 0] = value[2, 4] = value[4, 2] = np.nan
    null = np.full((m, m), 0.04)
    trained = np.array(kinds) == "trained"
    counts = trained[:, None] & trained & ~kin
    survives = np.nan_to_num(value) > 0.3
    return ModelMatrix(
        "consciousness", "mutual kNN", names, modalities, kinds, value, null, null + 0.03, counts,
        survives & counts, "q < 0.05", "words renamed as blocks", 999, 472, 440,
    )  # fmt: skip


SENSES = ("the self that thinks", "spirit or ghost", "music", "a person", "the essence of a thing", "in names")


def rdm_data(n: int = 90, senses: int = 5, seed: int = 3) -> RdmPair:
    """Items of senses of unequal size, given out of order; two models that agree on the senses."""
    rng = np.random.default_rng(seed)
    names = [f"sense number {i}" for i in range(senses)] if senses > len(SENSES) else SENSES[:senses]
    which = np.sort(rng.integers(0, senses, n) * rng.integers(0, 2, n))
    which[:senses] = np.arange(senses)
    which = rng.permutation(which)
    centres = rng.normal(size=(senses, 8))

    def distances(noise: float) -> np.ndarray:
        points = centres[which] + noise * rng.normal(size=(n, 8))
        return np.sqrt(((points[:, None] - points) ** 2).sum(-1))

    items = ("soul", "inner self", "breath of life", "soul music", "poor soul", "the soul of wit", "psyche", "anima")
    return RdmPair(
        "soul", "sentence-transformers/all-MiniLM-L6-v2", "pocket-lm", "resid_post.3", "resid_post.5",
        items[:n] if n <= len(items) else tuple(f"soul/senses/{i}" for i in range(n)),
        tuple(names[i] for i in which), distances(0.6), 30 * distances(0.9), 0.43, (0.21, 0.58), 0.11, 0.002, 999,
        "sentences renamed within the target and within the other senses", "Spearman correlation", "sentences",
    )  # fmt: skip


def test_both_are_registered_with_their_data():
    for name, data in (("model_matrix", ModelMatrix), ("rdm_pair", RdmPair)):
        assert entries("figure")[name].about["data"] is data


def picture(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def mesh_of(figure: Figure) -> np.ndarray:
    """What the matrix of models shows, nan where nothing is."""
    (mesh,) = (c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    return np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(mesh.get_coordinates().shape[0] - 1, -1)


def square(table: Sequence[Any], column: str, m: int) -> np.ndarray:
    out = np.full((m, m), np.nan)
    for row in table:
        a, b = row["order_a"] - 1, row["order_b"] - 1
        out[a, b] = out[b, a] = row[column]
    return out


def lines(figure: Figure) -> list[LineCollection]:
    return [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]


def cells(drawn: LineCollection) -> set[tuple[int, int]]:
    """Row and column of the cells in which lines lie."""
    return {tuple(int(v) for v in np.mean(segment, axis=0)[::-1]) for segment in drawn.get_segments()}


def marked(table: Sequence[Any], wanted: bool, column: str) -> set[tuple[int, int]]:
    own = [
        (row["order_a"] - 1, row["order_b"] - 1)
        for row in table
        if row[column] == wanted and row["value"] == row["value"]
    ]
    return {pair for a, b in own for pair in ((a, b), (b, a))}


@pytest.mark.parametrize("m", [2, 3, 5, 12])
def test_the_matrix_draws_what_its_table_says(m):
    data = matrix_data(m)
    figure, table = model_matrix(data)
    assert len(table) == m * (m - 1) // 2
    shown = mesh_of(figure)
    np.testing.assert_array_equal(shown, square(table, "over_null", m))
    for row in table:
        a, b = (
            list(zip(data.models, data.modalities, strict=True)).index((row[f"model_{s}"], row[f"modality_{s}"]))
            for s in "ab"
        )
        assert [row["kind_a"], row["kind_b"]] == [data.kinds[a], data.kinds[b]]
        for key in ("value", "null_mean", "null_q95", "counts", "survives"):
            np.testing.assert_array_equal(row[key], getattr(data, key)[a, b])
        np.testing.assert_array_equal(row["over_null"], data.value[a, b] - data.null_mean[a, b])
    # every cell's number, read back from the picture
    texts = {
        (int(t.get_position()[1]), int(t.get_position()[0])): t.get_text()
        for t in figure.axes[0].texts
        if min(t.get_position()) > 0
    }
    for (i, j), value in np.ndenumerate(shown):
        if i != j:
            text = texts[i, j].replace("\N{MINUS SIGN}", "-")
            assert (float(text) if np.isfinite(value) else text) == (
                float(number(value)) if np.isfinite(value) else "–"
            )
    hatching, casing, outline = lines(figure)
    assert cells(hatching) == marked(table, False, "counts")
    assert cells(outline) == cells(casing) == marked(table, True, "survives") != set()
    assert to_hex(outline.get_colors()[0]).upper() == ROLES["target"].colour
    # names and modalities stand at the rows that the table gives them
    place = {row[f"order_{s}"]: (row[f"model_{s}"], row[f"modality_{s}"]) for row in table for s in "ab"}
    beside = sorted((t for t in figure.axes[0].texts if t.get_position()[0] < 0), key=lambda t: t.get_position()[1])
    for row, group in groupby(beside, key=lambda t: t.get_position()[1]):
        name, order, letter = (t.get_text() for t in sorted(group, key=lambda t: t.get_position()[0]))
        model, modality = place[int(order)]
        assert row == int(order) - 0.5
        assert name.replace("\n", "").startswith(model)
        assert modality.upper().startswith(letter)
    assert not covered(figure)
    assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()) >= SMALL_SIZE_POINTS


def test_the_matrix_says_what_is_hatched_and_outlined_and_how_many():
    data = matrix_data(12)
    figure, table = model_matrix(data)
    evidence = [row for row in table if row["counts"] and row["value"] == row["value"]]
    found = sum(bool(row["survives"]) for row in evidence)
    text = said(figure)
    for words in (
        f"outlined: q < 0.05 ({found} of {len(evidence)} pairs of unrelated trained models)",
        "(relatives, static models)",
        "n = 472 words, 440 units",
        "null: words renamed as blocks, 999 permutations",
        "white: not measured",
        "T: text I: image A: audio",
        "minus the mean of its null",
        "words:cooccurrence (static)",
    ):
        assert words in text
    few = said(model_matrix(matrix_data(2))[0])
    assert "1 of 1 pair of" in few
    for words in ("hatched", "static", "tree", "not measured", "image"):
        assert words not in few


def permuted(data: ModelMatrix, order: Sequence[int]) -> ModelMatrix:
    at = list(order)
    arrays = {
        key: getattr(data, key)[np.ix_(at, at)] for key in ("value", "null_mean", "null_q95", "counts", "survives")
    }
    names = {key: tuple(getattr(data, key)[i] for i in at) for key in ("models", "modalities", "kinds")}
    return replace(data, **arrays, **names)


def unlike(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """Rows of two tables that differ; nan is like nan."""
    return [(x, y) for x, y in zip(a, b, strict=True) if repr(x) != repr(y)]


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(6)), tied=st.booleans(), holes=st.booleans())
def test_the_order_in_which_models_are_given_does_not_change_the_picture(order, tied, holes):
    data = matrix_data(6)
    value = np.round(data.value, 1) if tied else data.value
    data = replace(data, value=value if holes else np.nan_to_num(value, nan=0.2))
    one, other = model_matrix(data), model_matrix(permuted(data, order))
    assert not unlike(one[1], other[1])
    np.testing.assert_array_equal(picture(one[0]), picture(other[0]))


def test_two_models_keep_the_order_in_which_they_are_given():
    data = matrix_data(2)
    for order in ((0, 1), (1, 0)):
        _, (row,) = model_matrix(permuted(data, order))
        assert (row["model_a"], row["model_b"]) == tuple(data.models[i] for i in order)
        assert np.isnan(row["joined_at"])


def average_linkage(near: np.ndarray) -> tuple[np.ndarray, list[tuple[list[int], list[int]]]]:
    """By its definition: join the two branches with the highest mean of the pairs between them, until one is left."""
    branches, joined = [[i] for i in range(len(near))], np.full(near.shape, np.nan)
    joins = []
    while len(branches) > 1:
        a, b = max(combinations(branches, 2), key=lambda pair: near[np.ix_(*pair)].mean())
        joined[np.ix_(a, b)] = near[np.ix_(a, b)].mean()
        joined[np.ix_(b, a)] = joined[np.ix_(a, b)].T
        joins.append((a, b))
        branches = [one for one in branches if one not in (a, b)] + [[*a, *b]]
    return joined, joins


def leaf_orders(joins: Sequence[tuple[list[int], list[int]]]) -> Iterator[list[int]]:
    """All orders of the leaves that a tree allows."""
    for flips in product((False, True), repeat=len(joins)):
        orders: dict[frozenset[int], list[int]] = {}
        for (a, b), flip in zip(joins, flips, strict=True):
            one, two = (orders.get(frozenset(side), side) for side in (a, b))
            orders[frozenset([*a, *b])] = [*two, *one] if flip else [*one, *two]
        yield orders[frozenset(range(len(joins) + 1))]


@pytest.mark.parametrize("seed", [2, 3])
def test_rows_follow_average_linkage_with_the_closest_neighbours_it_allows(seed):
    m = 6
    data = matrix_data(m, seed)
    data = replace(data, value=np.where(np.isnan(data.value) & ~np.eye(m, dtype=bool), 0.3, data.value))
    figure, table = model_matrix(data)
    near = mesh_of(figure)  # in the drawn order
    joined, joins = average_linkage(near)
    np.testing.assert_allclose(square(table, "joined_at", m), joined, atol=1e-12)
    length = {tuple(order): sum(near[i, j] for i, j in pairwise(order)) for order in leaf_orders(joins)}
    assert tuple(range(m)) in length
    assert length[tuple(range(m))] == pytest.approx(max(length.values()))
    # the tree's heights are those joins, closest at the bottom
    tree = figure.axes[1]
    drawn = sorted(float(np.max(line.get_ydata())) for line in tree.lines)
    heights = {near[np.ix_(a, b)].mean() for a, b in joins}
    span = np.nanmax(near) - np.nanmin(near)
    np.testing.assert_allclose(drawn, sorted((np.nanmax(near) - h) / span for h in heights), atol=1e-12)


def test_groups_of_close_models_stand_together():
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat([0, 1, 2], 3))
    value = np.where(np.equal.outer(group, group), 0.6, 0.1) + 0.01 * rng.random((9, 9))
    value = (value + value.T) / 2
    base = matrix_data(9)
    models = tuple(f"model-{i}" for i in range(9))
    none = np.zeros((9, 9), dtype=bool)
    data = replace(base, models=models, kinds=("trained",) * 9, value=value, counts=~none, survives=none)
    _, table = model_matrix(data)
    place = {row[f"model_{s}"]: row[f"order_{s}"] for row in table for s in "ab"}
    in_order = [group[models.index(name)] for name in sorted(place, key=lambda name: place[name])]
    assert len(list(groupby(in_order))) == 3


def test_a_model_that_nothing_was_measured_with_is_drawn_and_draws_no_others_together():
    data = matrix_data(5)
    value = data.value.copy()
    value[2] = value[:, 2] = np.nan
    figure, table = model_matrix(replace(data, value=value))
    alone = [row for row in table if data.models[2] in (row["model_a"], row["model_b"]) and np.isnan(row["value"])]
    assert len(alone) == 4
    assert not covered(figure)
    rest = [i for i in range(5) if i != 2]
    _, without = model_matrix(permuted(replace(data, value=value), rest))
    between = {
        (row["model_a"], row["modality_a"], row["model_b"], row["modality_b"]): row["joined_at"] for row in without
    }
    closest = max(between, key=lambda pair: between[pair])
    again = {(row["model_a"], row["modality_a"], row["model_b"], row["modality_b"]): row["joined_at"] for row in table}
    assert between[closest] == pytest.approx(again.get(closest, again.get((*closest[2:], *closest[:2]))))


def cell_pixels(figure: Figure, i: int, j: int) -> np.ndarray:
    """The pixels of a cell in grey print."""
    grey = np.asarray(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("L"), dtype=float)
    (x0, y0), (x1, y1) = (figure.axes[0].transData.transform(point) for point in ((j, i + 1), (j + 1, i)))
    tall = len(grey)
    return grey[round(tall - y1) + 1 : round(tall - y0) - 1, round(x0) + 1 : round(x1) - 1]


def test_hatched_and_outlined_cells_are_told_apart_in_grey_print_whatever_their_value():
    base = matrix_data(5)
    yes, no = np.ones((5, 5), dtype=bool), np.zeros((5, 5), dtype=bool)
    value = np.linspace(0, 0.6, 25).reshape(5, 5)
    value = (value + value.T) / 2
    data = replace(base, value=value, null_mean=0 * value, kinds=("trained",) * 5)
    looks = [
        model_matrix(replace(data, counts=counts, survives=survives))[0]
        for counts, survives in ((yes, no), (no, no), (yes, yes))
    ]
    for i, j in combinations(range(5), 2):
        plain, hatched, outlined = (cell_pixels(figure, i, j) for figure in looks)
        for one, other in ((plain, hatched), (plain, outlined), (hatched, outlined)):
            assert np.mean(np.abs(one - other) > 40) > 0.05  # of 255 steps of grey, in so many of its pixels


def test_a_cell_between_outlined_ones_has_no_outline():
    base = matrix_data(8)
    survives = np.ones((8, 8), dtype=bool)
    survives[3, 4] = survives[4, 3] = False
    figure, table = model_matrix(replace(base, survives=survives, value=np.nan_to_num(base.value, nan=0.3)))
    (row,) = (row for row in table if not row["survives"])
    at = row["order_a"] - 1, row["order_b"] - 1
    reddish = picture(figure)[..., :3].astype(int)
    target = np.array([0xD5, 0x5E, 0x00])

    def share(i: int, j: int) -> float:
        (x0, y0), (x1, y1) = (figure.axes[0].transData.transform(point) for point in ((j, i + 1), (j + 1, i)))
        own = reddish[round(len(reddish) - y1) : round(len(reddish) - y0), round(x0) : round(x1)]
        return float(np.mean(np.abs(own - target).max(axis=-1) < 40))

    other = next((i, j) for i, j in product(range(8), repeat=2) if i != j and {i, j} != set(at))
    assert share(*at) < 0.02 < 0.1 < share(*other)


@pytest.mark.parametrize("vision", VISION)
def test_modalities_differ_for_all_readers(vision):
    for a, b in combinations([*STRIP_COLOURS.values(), ROLES["null"].colour], 2):
        assert difference(a, b, vision) > 15


def test_modalities_of_one_initial_have_letters_of_their_own():
    data = matrix_data(5)
    figure, _ = model_matrix(replace(data, modalities=("video", "vision", "text", "image", "volume")))
    assert "T: text I: image V: video S: vision O: volume" in said(figure)


def test_a_name_is_divided_after_its_owner_where_that_costs_no_line():
    assert wrap_name("pocket-lm", 84) == "pocket-lm"
    assert wrap_name("meta-llama/Llama-3.2-1B", 84) == "meta-llama/\nLlama-3.2-1B"
    assert wrap_name("meta-llama/Llama-3.2-1B", 200) == "meta-llama/Llama-3.2-1B"
    assert wrap_name("facebook/dinov2-with-registers-base", 84) == "facebook/dinov2-with-\nregisters-base"


def test_many_models_keep_their_names_and_lose_their_numbers():
    m = 20
    rng = np.random.default_rng(2)
    value = rng.uniform(0, 0.6, (m, m))
    value = (value + value.T) / 2
    yes = np.ones((m, m), dtype=bool)
    models = tuple(f"organisation-{i}/model-number-{i}-of-many" for i in range(m))
    base = matrix_data(2)
    figure, table = model_matrix(
        replace(
            base, models=models, modalities=("text",) * m, kinds=("trained",) * m, value=value,
            null_mean=0 * value, null_q95=0 * value, counts=yes, survives=value > 0.4,
        )
    )  # fmt: skip
    assert len(table) == m * (m - 1) // 2
    assert not covered(figure)
    named = said(figure).replace("- ", "-").replace("/ ", "/")
    assert all(name in named for name in models)


names = st.text(
    st.characters(codec="ascii", categories=("L", "N"), include_characters="-/_ :."), min_size=1, max_size=60
)


@settings(max_examples=4, deadline=None)
@given(st.data())
def test_matrices_of_any_shape_are_drawn_with_nothing_cut_or_covered(data):
    m = data.draw(st.integers(2, 7))
    models = data.draw(st.lists(names.filter(str.strip), min_size=m, max_size=m, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    value = rng.normal(0, data.draw(st.sampled_from([0.001, 0.1, 3.0])), (m, m))
    value[rng.random((m, m)) < data.draw(st.sampled_from([0, 0.4]))] = np.nan
    value = (value + value.T) / 2
    value[0, 1] = value[1, 0] = 0.25
    kinds = tuple(data.draw(st.lists(st.sampled_from(["trained", "static", "twin"]), min_size=m, max_size=m)))
    trained = np.array(kinds) == "trained"
    some = rng.random((m, m)) < 0.5
    figure, table = model_matrix(
        ModelMatrix(
            "soul", "debiased CKA", tuple(models), tuple(rng.choice(["text", "image", "touch"], m)), kinds, value,
            np.zeros((m, m)), np.full((m, m), np.nan), (some | some.T) & trained & trained[:, None], some & some.T,
            "verdict supported", "words renamed", 199, 20, 20, "terms",
        )
    )  # fmt: skip
    np.testing.assert_array_equal(mesh_of(figure), square(table, "over_null", m))
    assert sorted({row[f"model_{s}"] for row in table for s in "ab"}) == sorted(models)
    assert not covered(figure)


def test_a_matrix_that_does_not_fit_together_is_refused():
    data = matrix_data(5)

    def changed(key: str, *at: int, to: Any) -> ModelMatrix:
        array = getattr(data, key).copy()
        array[at] = to
        return replace(data, **{key: array})

    for wrong, words in (
        (replace(data, models=data.models[:4]), "4 models, 5 modalities and 5 kinds"),
        (replace(data, kinds=("trained",)), "1 kinds"),
        (permuted(data, [0]), "1 models"),
        (replace(data, models=("minilm",) * 5), "minilm (text) is there twice"),
        *((replace(data, **{key: getattr(data, key)[1:]}), f"{key} has shape (4, 5)") for key in ARRAYS),
        *((changed(key, 0, 1, to=7), f"{key} is not symmetric") for key in ARRAYS[:3]),
        (changed("survives", 0, 1, to=~data.survives[0, 1]), "survives is not symmetric"),
        (changed("value", 0, 1, to=np.nan), "value is not symmetric"),
        (replace(data, value=np.full((5, 5), np.nan)), "no pair of models was measured"),
        (replace(data, null_mean=np.full((5, 5), np.nan)), "without a null"),
        (replace(data, value=np.full((5, 5), np.inf)), "infinite"),
        (replace(data, kinds=("static",) * 5), "cannot count as evidence"),
    ):
        with pytest.raises(UsageError, match=re.escape(words)):
            model_matrix(wrong)


ARRAYS = ("value", "null_mean", "null_q95", "counts", "survives")


@pytest.mark.parametrize("name", ["model_matrix", "rdm_pair"])
def test_saved_twice_is_the_same_and_as_wide_as_a_column(name, tmp_path):
    figure, table = model_matrix(matrix_data(4)) if name == "model_matrix" else rdm_pair(rdm_data(7, 2))
    again, _ = model_matrix(matrix_data(4)) if name == "model_matrix" else rdm_pair(rdm_data(7, 2))
    one, two = save(figure, table, tmp_path / "a", name), save(again, table, tmp_path / "b", name)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    files = {path.suffix[1:]: path for path in one}
    with Image.open(files["png"]) as image:
        assert image.width == 1650
    assert b"/FontFile2" in files["pdf"].read_bytes()
    assert b"/Type3" not in files["pdf"].read_bytes()
    rows = [{key: value or "nan" for key, value in row.items()} for row in rows_of(files["csv"])]
    assert rows == [{key: str(value) for key, value in row.items()} for row in table]


def shown_ranks(figure: Figure) -> list[np.ndarray]:
    return [np.ma.filled(axes.images[0].get_array().astype(float), np.nan) for axes in figure.axes[:2]]


def slow_ranks(values: Sequence[float]) -> list[float]:
    """By definition: the share of the other pairs that are closer, a tie counting half."""
    return [
        (sum(v < own for v in values) + (sum(v == own for v in values) - 1) / 2) / (len(values) - 1) for own in values
    ]


@pytest.mark.parametrize(("n", "senses"), [(3, 1), (6, 3), (8, 4), (90, 5)])
def test_the_pair_draws_what_its_table_says(n, senses):
    data = rdm_data(n, senses)
    data = replace(data, distances_b=np.round(data.distances_b, 0))  # ties
    figure, table = rdm_pair(data)
    assert len(table) == n * (n - 1) // 2
    pairs = list(combinations(range(n), 2))
    for shown, key in zip(shown_ranks(figure), ("rank_a", "rank_b"), strict=True):
        np.testing.assert_array_equal(shown, shown.T)
        assert np.isnan(np.diag(shown)).all()
        assert [shown[i, j] for i, j in pairs] == [row[key] for row in table]
    for model in "ab":
        own = [row[f"distance_{model}"] for row in table]
        if n < 90:
            np.testing.assert_allclose([row[f"rank_{model}"] for row in table], slow_ranks(own), atol=1e-12)
    drawn = [table[0]["item_a"], *(row["item_b"] for row in table[: n - 1])]
    assert sorted(drawn) == sorted(data.items)
    at = [data.items.index(item) for item in drawn]
    for row, (i, j) in zip(table, pairs, strict=True):
        assert (row["item_a"], row["item_b"]) == (drawn[i], drawn[j])
        assert (row["sense_a"], row["sense_b"]) == (data.senses[at[i]], data.senses[at[j]])
        assert row["distance_a"] == data.distances_a[at[i], at[j]]
        assert row["distance_b"] == data.distances_b[at[i], at[j]]
    in_order = [data.senses[i] for i in at]
    assert [sense for sense, _ in groupby(in_order)] == list(dict.fromkeys(data.senses))
    assert all(a < b for a, b in pairwise(at) if data.senses[a] == data.senses[b])
    # the lines lie between the senses, in both matrices and both ways
    ends = np.cumsum([len(list(group)) for _, group in groupby(in_order)])[:-1] - 0.5
    for axes in figure.axes[:2]:
        dark = [line for line in axes.lines if line.get_color() == INK]
        assert sorted(line.get_xdata()[0] for line in dark if line.get_xdata()[0] == line.get_xdata()[1]) == list(ends)
        assert sorted(line.get_ydata()[0] for line in dark if line.get_ydata()[0] == line.get_ydata()[1]) == list(ends)
    assert not covered(figure)
    assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()) >= SMALL_SIZE_POINTS


def beside(figure: Figure) -> dict[str, float]:
    """Names left of the matrices, and the row (from 0) at whose height each stands."""
    return {" ".join(t.get_text().split()): t.get_position()[1] for t in figure.axes[0].texts}


def test_senses_and_few_items_are_named_at_their_rows():
    data = rdm_data(6, 3)
    figure, table = rdm_pair(data)
    drawn = [table[0]["item_a"], *(row["item_b"] for row in table[:5])]
    senses = [table[0]["sense_a"], *(row["sense_b"] for row in table[:5])]
    written = beside(figure)
    assert set(written) == {*data.items, *data.senses}
    assert [written[item] for item in drawn] == list(range(6))
    for sense in set(senses):
        rows = [i for i, own in enumerate(senses) if own == sense]
        assert written[sense] == pytest.approx(np.mean(rows), abs=0.5)


def test_many_items_are_told_by_their_senses_alone_and_nothing_is_named_twice():
    data = rdm_data(90, 5)
    assert set(beside(rdm_pair(data)[0])) == set(data.senses)
    figure, _ = rdm_pair(replace(rdm_data(8, 3), senses=rdm_data(8, 3).items, kind="senses"))
    assert set(beside(figure)) == set(rdm_data(8, 3).items)
    assert "n = 8 senses;" in said(figure)


def test_more_senses_than_have_room_leave_the_largest_named():
    data = rdm_data(90, 24)
    figure, _ = rdm_pair(data)
    sizes = {sense: data.senses.count(sense) for sense in data.senses}
    named = beside(figure)
    assert 10 <= len(named) < 24
    assert min(sizes[sense] for sense in named) >= max(size for sense, size in sizes.items() if sense not in named)
    assert "in 24 senses (the largest are named)" in said(figure)
    assert not covered(figure)


def test_the_pair_tells_its_numbers():
    data = rdm_data()
    text = said(rdm_pair(data)[0])
    for words in (
        "Spearman correlation 0.43, 95% interval [0.21, 0.58]",
        "random twins 0.11",
        "p = 0.002, 999 permutations (sentences renamed within the target and within the other senses)",
        "n = 90 sentences in 5 senses;",
        "rank among the 4,005 pairs of a model",
        "(0 closest, 1 farthest)",
        "pocket-lm, resid_post.5",
    ):
        assert words in text
    assert "twins" not in said(rdm_pair(replace(data, reference=float("nan")))[0])
    assert "pocket-lm, " not in said(rdm_pair(replace(data, site_b=""))[0])


def test_a_models_scale_does_not_change_its_ranks_and_close_is_bright():
    data = rdm_data(12, 3)
    figure, _ = rdm_pair(data)
    other, _ = rdm_pair(replace(data, distances_a=np.exp(3 * data.distances_a) - 7))
    np.testing.assert_array_equal(picture(figure), picture(other))
    for axes in figure.axes[:2]:
        image = axes.images[0]
        assert image.norm(0.0) == 0
        assert image.norm(1.0) == 1
        assert sum(image.cmap(0.0)[:3]) > sum(image.cmap(1.0)[:3])


def test_the_order_of_the_items_of_a_sense_is_kept_and_no_rank_depends_on_it():
    data = rdm_data(6, 2)
    reference = {frozenset((r["item_a"], r["item_b"])): (r["rank_a"], r["rank_b"]) for r in rdm_pair(data)[1]}
    for order in list(permutations(range(6)))[::360]:
        at = np.ix_(order, order)
        moved = replace(
            data, items=tuple(data.items[i] for i in order), senses=tuple(data.senses[i] for i in order),
            distances_a=data.distances_a[at], distances_b=data.distances_b[at],
        )  # fmt: skip
        _, table = rdm_pair(moved)
        assert {frozenset((r["item_a"], r["item_b"])): (r["rank_a"], r["rank_b"]) for r in table} == reference


@settings(max_examples=4, deadline=None)
@given(st.data())
def test_pairs_of_any_shape_are_drawn_with_nothing_cut_or_covered(data):
    n = data.draw(st.integers(3, 40))
    words = names.filter(str.strip)
    items = data.draw(st.lists(words, min_size=n, max_size=n))
    senses = data.draw(
        st.lists(st.sampled_from(data.draw(st.lists(words, min_size=1, max_size=12))), min_size=n, max_size=n)
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    points = rng.normal(size=(2, n, 3))
    near = np.sqrt(((points[:, :, None] - points[:, None]) ** 2).sum(-1))
    pair = RdmPair(
        "soul", data.draw(words), data.draw(words), "resid_post.3", "final", tuple(items), tuple(senses), *near,
        -0.004, (-0.2, 0.2), float("nan"), 0.5, 199, "items renamed",
    )  # fmt: skip
    figure, table = rdm_pair(pair)
    assert len(table) == n * (n - 1) // 2
    for shown, key in zip(shown_ranks(figure), ("rank_a", "rank_b"), strict=True):
        assert [shown[i, j] for i, j in combinations(range(n), 2)] == [row[key] for row in table]
    assert not covered(figure)
    assert "-0.004" in said(figure)  # two decimals would print a landmark


def test_a_pair_that_does_not_fit_together_is_refused():
    data = rdm_data(8, 3)
    crooked, hole = data.distances_b.copy(), data.distances_a.copy()
    crooked[0, 1] += 1
    hole[0, 1] = hole[1, 0] = np.nan
    for wrong, words in (
        (replace(data, items=data.items[:2], senses=data.senses[:2]), "2 items and 2 senses"),
        (replace(data, senses=data.senses[1:]), "8 items and 7 senses"),
        (replace(data, distances_a=data.distances_a[1:]), "all-MiniLM-L6-v2 has distances of shape (7, 8) for 8 items"),
        (replace(data, distances_b=crooked), "distances of pocket-lm are not symmetric"),
        (replace(data, distances_a=hole), "not finite"),
    ):
        with pytest.raises(UsageError, match=re.escape(words)):
            rdm_pair(wrong)
