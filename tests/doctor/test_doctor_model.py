"""What `conceptprobe doctor --model` prints of a proof."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from conceptprobe.cli import doctor_model
from conceptprobe.cli.doctor_model import command_for, print_proofs
from conceptprobe.doctor.proof import Check, Proof, SiteError
from conceptprobe.models.options import Options
from models.tiny_models import save_model

PROOF = Proof(
    "tiny",
    "gpt2",
    "text",
    "",
    "0" * 64,
    2,
    32,
    "bfloat16",
    "cpu",
    "sdpa",
    (
        Check("blocks", True, "2 at 'h'"),
        Check("offsets", True, "spans found exactly"),
        Check("padding_left", False, "largest at resid_post.1", 0.25, 1e-5),
        Check("position_ids", None, "the family takes none"),
    ),
    (SiteError("embed", 32, 1e-7, 2e-7, 3e-3), *(SiteError(f"resid_post.{i}", 32, 1e-7, i * 1e-6) for i in range(2))),
)


def test_a_failed_check_is_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    print_proofs("tiny", [PROOF], False)
    out = capsys.readouterr().out
    assert "not safe to use: padding_left: largest at resid_post.1" in out
    assert "2.5e-01" in out
    assert "resid_post.0 to .1" in out
    assert "padded on the left as single" in out


def test_a_reason_names_its_tower(capsys: pytest.CaptureFixture[str]) -> None:
    print_proofs("tiny", [replace(PROOF, checks=PROOF.checks[:1]), replace(PROOF, modality="image")], True)
    record = json.loads(capsys.readouterr().out)
    assert not record["safe"]
    assert record["reason"].endswith("image: padding_left: largest at resid_post.1")
    assert [tower["safe"] for tower in record["towers"]] == [True, False]
    assert record["towers"][1]["sites"][0] == {
        "site": "embed",
        "width": 32,
        "eager": 1e-7,
        "fused": 2e-7,
        "asked": 3e-3,
    }


def test_the_command_proves_and_exits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model(tmp_path / "m", "gpt2", tokenizer="bytes", n_layer=1)
    command_for(str(folder), Options(), False)
    out = capsys.readouterr().out
    assert "safe to use" in out
    assert "not safe" not in out
    monkeypatch.setattr("conceptprobe.doctor.prove.prove_all", lambda spec: (PROOF,))
    with pytest.raises(typer.Exit) as ended:
        doctor_model.command_for(str(folder), Options(), True)
    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out)["reason"]
