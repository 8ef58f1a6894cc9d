"""Colours that stay apart for colour-blind readers and in grey; settings that do not leak."""

from __future__ import annotations

from itertools import combinations

import matplotlib
import numpy as np
import pytest

from conceptprobe.report.style import FIGURE_WIDTH_INCHES, INK, ROLES, SOFT_INK, STATIC_INK, TWIN_INK, new_figure, paper

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB
VISION = {
    "full": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
TOGETHER = [("model", "twin", "static", "null"), ("target", "near", "far", "background")]


def linear(colour: str) -> np.ndarray:
    v = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = matrix @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(a: str, b: str, vision: str) -> float:
    """CIE76 colour difference as seen with that vision; 2.3 is just noticeable."""
    return float(np.linalg.norm(lab(VISION[vision] @ linear(a)) - lab(VISION[vision] @ linear(b))))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("roles", TOGETHER)
def test_roles_of_one_figure_stay_apart_for_colour_blind_readers(roles: tuple[str, ...], vision: str) -> None:
    for a, b in combinations(roles, 2):
        assert difference(ROLES[a].colour, ROLES[b].colour, vision) > 20, (a, b)


@pytest.mark.parametrize("vision", VISION)
def test_all_roles_differ_for_colour_blind_readers(vision: str) -> None:
    colours = {role.colour for role in ROLES.values()}
    assert min(difference(a, b, vision) for a, b in combinations(sorted(colours), 2)) > 15


def test_red_and_green_would_fail_the_same_measure() -> None:
    assert difference("#D55E00", "#6B8E23", "deuteranopia") < 20 < difference("#D55E00", "#6B8E23", "full")


@pytest.mark.parametrize("roles", TOGETHER)
def test_roles_of_one_figure_differ_without_any_colour(roles: tuple[str, ...]) -> None:
    for a, b in combinations(roles, 2):
        grey = abs(lab(linear(ROLES[a].colour))[0] - lab(linear(ROLES[b].colour))[0])
        shape = (ROLES[a].marker, str(ROLES[a].line)) != (ROLES[b].marker, str(ROLES[b].line))
        assert shape or grey > 12, (a, b)


@pytest.mark.parametrize("ink", [INK, SOFT_INK, STATIC_INK, TWIN_INK, ROLES["model"].colour])
def test_text_has_the_contrast_that_small_print_needs(ink: str) -> None:
    luminance = float(np.array([0.2126, 0.7152, 0.0722]) @ linear(ink))
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2, level AA, on white


def test_settings_hold_inside_and_leave_no_trace() -> None:
    before = dict(matplotlib.rcParams)
    with paper():
        assert matplotlib.rcParams["pdf.fonttype"] == matplotlib.rcParams["ps.fonttype"] == 42
        assert matplotlib.rcParams["font.size"] == 8
        assert new_figure(2.0).get_figwidth() == FIGURE_WIDTH_INCHES == 5.5
    assert dict(matplotlib.rcParams) == before
