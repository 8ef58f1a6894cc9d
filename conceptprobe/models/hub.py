"""A model of the Hugging Face hub -> a local folder. The local cache is asked first; pickles are never fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conceptprobe.errors import MissingError, UnsafeModelError

WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "README.md")
"""What is fetched: weights, configuration, tokenizer, chat template, and the card, which names the lineage."""

UNWANTED = ("onnx/*", "openvino/*", "coreml/*", "original/*", "consolidated*.safetensors", "*.fp16.safetensors")
"""Second copies of the same weights in other formats, which would double the download."""

OFFLINE_HINT = "with no network, name a model of the zoo (`conceptprobe list models`) or a local folder"


def snapshot(repo: str, revision: str | None, *, cache_dir: str | None = None, download: bool = True) -> Path:
    """Folder that holds `repo` at `revision` (default: main), under `cache_dir` (default: the hub's own cache).

    Raises MissingError when the repository, the revision or the network is not there, UnsafeModelError when it
    offers only pickled weights. With `download=False` only the local cache is asked.
    """
    from huggingface_hub import snapshot_download

    patterns: dict[str, Any] = {
        "allow_patterns": list(WANTED),
        "ignore_patterns": list(UNWANTED),
        "cache_dir": cache_dir,
    }
    local = _local(repo, revision, patterns)
    if local is not None:
        return local
    if not download:
        raise MissingError(f"hub model '{repo}' is not in the local hub cache", hint="a run downloads it")

    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # huggingface_hub changed its transport library twice; its own HTTP error always inherits the transport's base.
    transport_error: type[Exception] = HfHubHTTPError.__bases__[0]
    try:
        _refuse_pickles(repo, revision)
        return Path(snapshot_download(repo, revision=revision, **patterns))
    except GatedRepoError as error:
        raise MissingError(
            f"hub model '{repo}' is gated: its licence must be accepted first",
            hint=f"accept it at https://huggingface.co/{repo} and log in with `hf auth login`",
        ) from error
    except RevisionNotFoundError as error:
        raise MissingError(
            f"hub model '{repo}' has no revision '{revision}'",
            hint=f"branches, tags and commits are listed at https://huggingface.co/{repo}/commits",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise MissingError(
            f"no model '{repo}' on the hub, or it is private",
            hint="check the spelling at https://huggingface.co/models; private models need `hf auth login`",
        ) from error
    except (transport_error, OSError) as error:
        raise MissingError(
            f"hub model '{repo}' is not in the local hub cache and the hub cannot be reached", hint=OFFLINE_HINT
        ) from error


def _local(repo: str, revision: str | None, patterns: dict[str, Any]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True, **patterns))
    except HFValidationError as error:
        raise MissingError(f"'{repo}' is not a hub id", hint="a hub id looks like 'openai-community/gpt2'") from error
    except OSError:
        return None
    # Another program may have cached only the configuration.
    complete = (folder / "config.json").exists() and any(folder.glob("*.safetensors"))
    return folder if complete else None


def _refuse_pickles(repo: str, revision: str | None) -> None:
    from huggingface_hub import HfApi

    siblings = HfApi().model_info(repo, revision=revision, timeout=20).siblings or []
    if not any(s.rfilename.endswith(".safetensors") for s in siblings):
        raise UnsafeModelError(
            f"hub model '{repo}' offers no safetensors weights; other formats can run code when loaded",
            hint="look for a revision or a copy of the model with model.safetensors",
        )
