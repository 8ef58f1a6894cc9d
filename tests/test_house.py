"""The house keeps its shape: arrows between rooms, registered things, sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conceptprobe import registry
from conceptprobe.evidence.finding import QUESTIONS
from conceptprobe.pipeline.defaults import ASKED, NOT_ASKED

ROOT = Path(__file__).resolve().parents[1]


def test_arrows_between_rooms_point_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_every_question_is_asked_or_has_a_reason_why_not():
    assert [*ASKED, *NOT_ASKED] == list(QUESTIONS)
    assert set(registry.entries("question")) == set(ASKED)


def test_importing_the_package_costs_nothing():
    code = "import sys, conceptprobe; print(sorted({'numpy', 'torch', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    import conceptprobe

    for name in conceptprobe.__all__:
        assert callable(getattr(conceptprobe, name)), name


def test_nothing_is_unpickled_or_trusted():
    for path in (ROOT / "conceptprobe").rglob("*.py"):
        text = path.read_text()
        for word in ("import pickle", "torch.load(", "allow_pickle=True", "trust_remote_code=True", "yaml.load("):
            assert word not in text, f"{path}: {word}"
