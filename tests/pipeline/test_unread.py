"""A set that a model cannot read costs that set, not the model; and it is tried once."""

from __future__ import annotations

from pathlib import Path

import pytest

from conceptprobe.activations import Store, extract
from conceptprobe.errors import UsageError
from conceptprobe.models import resolve
from conceptprobe.pipeline import run as pipeline
from conceptprobe.pipeline.plan import Cell
from conceptprobe.pipeline.progress import Silent
from conceptprobe.stimuli import expand, load_concept

SOUL = Path(__file__).resolve().parents[2] / "concepts" / "soul.yaml"


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def cells() -> list[Cell]:
    sets, spec = expand(load_concept(SOUL)), resolve("words:cooccurrence")
    return [
        Cell(spec, sets[name], (site,), ("mean",))
        for name in ("translations", "masked")
        for site in ("embed", "proxies")
    ]


@pytest.fixture
def too_long(monkeypatch):
    """Names of sets whose texts are too long for the model, and the sets it was shown."""
    names, shown = set(), []

    def limited(spec, stimuli, *given, **options):
        shown.append(stimuli.name)
        if stimuli.name in names:
            raise UsageError(f"stimulus '{stimuli.ids[0]}' has 53 tokens; this model takes 48")
        return extract(spec, stimuli, *given, **options)

    monkeypatch.setattr(pipeline, "extract", limited)
    return names, shown


def test_the_rest_is_read_and_the_reason_is_told_and_remembered(tmp_path, cells, too_long):
    names, shown = too_long
    names.add("translations")
    store, heard = Store(tmp_path), Heard()
    unread = pipeline._extract_model("m", cells, store, heard)
    assert list(unread) == ["translations"]
    assert "53 tokens" in unread["translations"]
    assert len(heard.lines) == 1
    assert shown == ["translations", "masked", "masked"]
    assert not any(cell.missing(store) for cell in cells[2:])
    shown.clear()
    assert pipeline._extract_model("m", cells, store, heard) == unread
    assert shown == []


def test_a_set_that_is_not_optional_is_an_error(tmp_path, cells, too_long):
    names, _ = too_long
    names.add("masked")
    with pytest.raises(UsageError, match="53 tokens"):
        pipeline._extract_model("m", cells, Store(tmp_path), Heard())
