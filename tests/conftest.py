"""Shared by all tests: where extra data may lie, and a fixed generator."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12345)


@pytest.fixture(scope="session")
def shared_data() -> Path | None:
    """A folder with data beside the project, where there is one."""
    folder = Path(os.environ.get("CONCEPTPROBE_SHARED", ROOT.parent / "shared"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random ViT with its processor, in the hub's format."""
    from models.tiny_images import save_image_model

    folder = tmp_path_factory.mktemp("vit")
    save_image_model(folder, "vit")
    return folder
