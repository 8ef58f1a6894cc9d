"""Folders of tiny models, made once for the room; a cache of its own, so that nobody's cache is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Read when huggingface_hub is first imported: no test may reach for the network.
os.environ["HF_HUB_OFFLINE"] = "1"

from conceptprobe.models import resolve
from conceptprobe.models.text import TextModel
from models.tiny_models import save_model, save_named

TOKENIZERS = {"gpt2": "bytes", "llama": "bos", "bert": "encoder"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for one another cost tiny models more than they bring, on a busy machine a hundredfold."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {kind: save_model(root / kind, kind, tokenizer=tokenizer) for kind, tokenizer in TOKENIZERS.items()}


@pytest.fixture(params=sorted(TOKENIZERS))
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TextModel:
    """A loaded tiny model of each of the three families."""
    loaded = resolve(str(folders[request.param])).load()
    assert isinstance(loaded, TextModel)
    return loaded


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny text model by its name in `tiny_models`, saved when it is first asked for."""
    root = tmp_path_factory.mktemp("text")

    def folder(name: str) -> Path:
        made = root / name.replace(" ", "-").replace(",", "")
        return made if made.is_dir() else save_named(made, name)

    return folder


@pytest.fixture(scope="session")
def audio_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny audio model by its name in tiny_sounds.VARIANTS, saved when it is first asked for."""
    from models.tiny_sounds import VARIANTS, save_audio_model

    root, saved = tmp_path_factory.mktemp("audio"), dict[str, Path]()

    def folder(name: str) -> Path:
        if name not in saved:
            model_type, config = VARIANTS[name]
            saved[name] = root / name.replace(", ", "-").replace(" ", "-")
            save_audio_model(saved[name], model_type, **config)
        return saved[name]

    return folder
