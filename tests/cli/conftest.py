"""Real processes for the command line; whole runs are few and share one results folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Shell:
    """Runs `conceptprobe` in a folder of its own, with a cache of its own and no way to a network."""

    folder: Path
    cache: Path

    def environment(self, **extra: str) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CONCEPTPROBE_", "HF_", "FORCE_", "COLUMNS"))}
        nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
        return clean | nowhere | {"CONCEPTPROBE_CACHE": str(self.cache), "PYTHONPATH": str(ROOT)} | extra

    def __call__(self, *arguments: str, timeout: float = 400, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "conceptprobe", *arguments],
            cwd=self.folder,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A process to be interrupted: Ctrl-C reaches it even where these tests run in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "conceptprobe", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT in a folder: everything real but the weights."""
    from models.tiny_models import save_model

    return save_model(tmp_path_factory.mktemp("models") / "tiny-bert", "bert", max_position_embeddings=256)


@pytest.fixture(scope="session")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random ViT in a folder, with its processor."""
    from models.tiny_images import save_image_model

    folder = tmp_path_factory.mktemp("models") / "tiny-vit"
    save_image_model(folder, "vit")
    return folder


@pytest.fixture(scope="session")
def models(tiny: Path, viewer: Path) -> str:
    """What whole runs read: one model of text, one of pictures, and the word vectors."""
    return f"{tiny},{viewer},words:cooccurrence"


TINY_RUN = ("--twins", "1")


@pytest.fixture(scope="session")
def first_run(shell: Shell, models: str) -> dict:
    """One whole run of the tiny models: {folder, manifest, findings, stderr, stdout}."""
    done = shell("run", "soul", "--models", models, *TINY_RUN)
    assert done.returncode == 0, done.stderr
    (folder,) = (shell.folder / "results" / "soul").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    return {"folder": folder, "manifest": manifest, "stdout": done.stdout, "stderr": done.stderr}


def assert_a_message_a_hint_and_a_code(arguments: list[str], code: int, words: tuple[str, ...]) -> None:
    """A mistake in the current folder, met in this process."""
    from conceptprobe.cli.app import app

    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, (done.stdout, done.stderr)
    assert isinstance(done.exception, SystemExit)
    assert "hint: " in done.stderr
    for word in words:
        assert word in done.stderr
