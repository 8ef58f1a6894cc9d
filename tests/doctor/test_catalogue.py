"""What was proved of every family: the committed proofs, the page made of them, and the command that prints them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from conceptprobe.cli.app import app
from conceptprobe.models.families import catalogue
from conceptprobe.models.families.page import page

ROOT = Path(__file__).resolve().parents[2]
REWRITE = "python benchmarks/parity.py --write"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    """benchmarks/parity.py as a module."""
    sys.path.append(str(ROOT / "benchmarks"))
    where = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    assert where is not None
    assert where.loader is not None
    module = importlib.util.module_from_spec(where)
    sys.modules["parity"] = module
    where.loader.exec_module(module)
    return module


def test_every_family_of_every_table_was_proved() -> None:
    known = catalogue.entries()
    lacking = [entry.key for entry in known if not entry.proofs]
    assert not lacking, f"not proved: {', '.join(lacking)}: {REWRITE}"
    failed = {entry.key: entry.proved for entry in known if not entry.safe}
    assert not failed
    rows = {f"{table}/{model_type}" for table, rows in catalogue.tables().items() for model_type in rows}
    towers = {key for entry in known for key in entry.towers}
    assert towers <= rows
    assert set(catalogue.read_proofs()["families"]) == rows - {e.key for e in known if e.towers}


def test_at_least_45_families_pass() -> None:
    assert sum(entry.safe for entry in catalogue.entries() if entry.key not in catalogue.parts()) >= 45


def test_every_proof_holds_what_it_says() -> None:
    for entry in catalogue.entries():
        for proof in entry.proofs:
            assert {"blocks", "sites", "finite", "reading"} <= set(proof["passed"]), entry.key
            assert set(proof["passed"]) & set(catalogue.BATCHES), entry.key
            assert 0 < proof["errors"]["reading"] < 1e-4, entry.key
            assert {"embed", "resid_post", "final"} <= {site.rpartition("/")[2] for site in proof["sites"]}, entry.key


def test_every_family_names_an_example() -> None:
    lacking = [
        entry.key
        for entry in catalogue.entries()
        if entry.example.count("/") != 1 and entry.key not in catalogue.parts()
    ]
    assert not lacking


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "models.md").read_text() == page(), f"docs/models.md is not what its sources say: {REWRITE}"


def test_a_family_without_a_proof_is_not_called_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = json.loads(catalogue.PROOFS.read_text())
    del proofs["families"]["text/clip_text_model"]
    proofs["families"]["text/gpt2"][0] |= {"safe": False, "failed": {"reading": "largest at embed"}}
    monkeypatch.setattr(catalogue, "read_proofs", lambda: proofs)
    by_key = {entry.key: entry for entry in catalogue.entries()}
    assert by_key["joint/clip"].proved == "not yet"
    assert by_key["text/gpt2"].proved == "fails: reading: largest at embed"
    assert not by_key["joint/clip"].safe
    assert not by_key["text/gpt2"].safe


def test_the_command_lists_every_family() -> None:
    whole = CliRunner().invoke(app, ["list", "models", "--families"])
    assert whole.exit_code == 0
    as_json = CliRunner().invoke(app, ["list", "models", "--families", "--json"])
    rows = json.loads(as_json.stdout)["families"]
    assert [row["family"] for row in rows] == [entry.family for entry in catalogue.entries()]
    assert all(row["family"] in whole.stdout and row["example"] in whole.stdout for row in rows)
    other = CliRunner().invoke(app, ["list", "metrics", "--families"])
    assert other.exit_code == 2
    assert "metrics have no families" in other.stderr


def test_parity_says_where_there_is_no_gpu(
    parity: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["parity.py", "--device", "cuda"])
    monkeypatch.setattr(parity.torch.cuda, "is_available", lambda: False)
    assert parity.main() == 3
    assert "no CUDA device" in capsys.readouterr().err


def test_every_row_has_a_recipe(parity: Any) -> None:
    within = catalogue.parts()
    for table, rows in catalogue.tables().items():
        for model_type in rows:
            if f"{table}/{model_type}" not in within:
                assert any(recipe.makes(model_type) for recipe in parity.RECIPES[table]), model_type


def test_a_row_without_a_recipe_ends_parity(parity: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parity, "tables", lambda: {"text": {"none_such": None}})
    with pytest.raises(SystemExit, match="no recipe makes a tiny checkpoint of text/none_such"):
        list(parity.checkpoints(tmp_path, []))


def test_what_parity_keeps_of_a_proof(parity: Any, tmp_path: Path) -> None:
    """One family, proved again: the same checks pass as in the committed proofs."""
    ((name, folder),) = parity.checkpoints(tmp_path, ["text/electra"])
    (proof,) = parity.proved(name, folder, parity.Options())[name]
    kept, (before,) = parity.record(proof), catalogue.read_proofs()["families"][name]
    assert kept["safe"]
    assert {**kept, "errors": None} == {**before, "errors": None}
    assert kept["errors"].keys() == before["errors"].keys()
