"""A counting model, ten texts, and a cache of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from activations.counting import Counting
from conceptprobe.activations import Store
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "default-cache"))


@pytest.fixture
def spec() -> Counting:
    return Counting()


@pytest.fixture
def texts() -> StimulusSet:
    items = (Stimulus(f"s{i}", "c", "s", "positive", "text", f"soul {i}", span=(0, 4)) for i in range(10))
    return StimulusSet("texts", tuple(items))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")
