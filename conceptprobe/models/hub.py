"""A model of the Hugging Face hub -> a local folder. The local cache is asked first; pickles are never fetched."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from conceptprobe.errors import MissingError, UnsafeModelError
from conceptprobe.models.checkpoint import VOCABULARIES
from conceptprobe.models.formats import read_json

WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "README.md")
"""What is fetched: weights, configuration, tokenizer, chat template, and the card, which names the lineage."""

UNWANTED = ("onnx/*", "openvino/*", "coreml/*", "original/*", "consolidated*.safetensors", "*.fp16.safetensors")
"""Second copies of the same weights in other formats, which would double the download."""

OFFLINE_HINT = "with no network, name a model of the zoo (`conceptprobe list models`) or a local folder"
TIMEOUT = 20
"""Seconds that the hub may take to say what a repository holds."""

_READERS = (*VOCABULARIES, "preprocessor_config.json", "processor_config.json")
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


FETCH_HINT = "`conceptprobe plan CONCEPT --models NAME --fetch` downloads it"


class NotCachedError(MissingError):
    """A model that the hub may have and the local cache has not, or not whole."""

    def __init__(
        self, repo: str, revision: str | None, *, partly: bool = False, message: str = "", hint: str = FETCH_HINT
    ) -> None:
        where = "is only partly in the local hub cache" if partly else "is not in the local hub cache"
        super().__init__(
            message or f"hub model '{spoken(repo, revision)}' {where}",
            hint=hint,
        )
        self.repo = repo
        self.revision = revision


class UnreachableError(MissingError):
    """The hub does not answer, or must not be asked."""


@dataclass(frozen=True)
class Offer:
    """What the hub has of a model: the files that would be fetched, and their size together (0: it does not say)."""

    files: tuple[str, ...]
    bytes_: int


def spoken(repo: str, revision: str | None) -> str:
    """The name of a hub model with its revision, where it has one."""
    return f"{repo}@{revision}" if revision else repo


def snapshot(repo: str, revision: str | None, *, cache_dir: str | None = None, download: bool = True) -> Path:
    """Folder that holds `repo` at `revision` (default: main), under `cache_dir` (default: the hub's own cache).

    A download that was interrupted goes on where it stopped, and is not taken for a model before it is whole. Raises
    MissingError when the repository, the revision or the network is not there, UnsafeModelError when it offers only
    pickled weights. With `download=False` only the local cache is asked, and what it lacks is a NotCachedError.
    """
    from huggingface_hub import snapshot_download

    patterns: dict[str, Any] = {
        "allow_patterns": list(WANTED),
        "ignore_patterns": list(UNWANTED),
        "cache_dir": cache_dir,
    }
    local, whole = _local(repo, revision, patterns)
    if local is not None and whole:
        return local
    if not download:
        raise NotCachedError(repo, revision, partly=local is not None)
    offer(repo, revision)
    with _told(repo, revision):
        return Path(snapshot_download(repo, revision=revision, **patterns))


def offer(repo: str, revision: str | None) -> Offer:
    """What a download would fetch, without fetching it.

    Raises what `snapshot` raises where the hub has no such model; UnreachableError where it cannot be asked.
    """
    from huggingface_hub import HfApi

    with _told(repo, revision):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    sizes = {s.rfilename: getattr(s, "size", None) or 0 for s in info.siblings or []}
    files = tuple(name for name in sizes if _is(name, WANTED) and not _is(name, UNWANTED))
    if not any(name.endswith(".safetensors") for name in files):
        raise UnsafeModelError(
            f"hub model '{spoken(repo, revision)}' offers no safetensors weights; other formats can run code when loaded",
            hint="look for a revision or a copy of the model with model.safetensors",
        )
    return Offer(files, sum(sizes[name] for name in files))


def _is(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@contextmanager
def without_bars() -> Iterator[None]:
    """The hub library's own progress bars off, where somebody else draws one."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()


@contextmanager
def _told(repo: str, revision: str | None) -> Iterator[None]:
    """Every refusal of the hub, of the network and of the disk as one message."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # huggingface_hub changed its transport library twice; its own HTTP error always inherits the transport's base.
    transport_error: type[Exception] = HfHubHTTPError.__bases__[0]
    name = spoken(repo, revision)
    try:
        yield
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
    except OfflineModeIsEnabled as error:
        raise UnreachableError(
            f"hub model '{name}' is not in the local hub cache, and HF_HUB_OFFLINE forbids to ask the hub",
            hint=f"leave out --offline, or unset it; {OFFLINE_HINT}",
        ) from error
    except (transport_error, OSError, RuntimeError) as error:  # RuntimeError: of hf_xet, whatever happens to it
        if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
            raise MissingError(
                f"hub model '{name}' cannot be stored: {error.strerror or error}",
                hint="--cache-dir, or HF_HOME in the environment, names another folder for downloads",
            ) from error
        raise UnreachableError(
            f"hub model '{name}' is not in the local hub cache and the hub cannot be reached",
            hint=f"what was fetched is kept: the same command goes on from there; {OFFLINE_HINT}",
        ) from error


def _local(repo: str, revision: str | None, patterns: dict[str, Any]) -> tuple[Path | None, bool]:
    """The folder of the snapshot in the local cache, and whether it is whole.

    By the hub's list of files where a download of this library left one; without it, by what a model needs.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError

    try:
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True, **patterns))
    except HFValidationError as error:
        raise MissingError(f"'{repo}' is not a hub id", hint="a hub id looks like 'openai-community/gpt2'") from error
    except IncompleteSnapshotError as error:
        return Path(error.snapshot_path), False
    except OSError:
        return None, False
    return folder, _is_whole(folder)


def _is_whole(folder: Path) -> bool:
    """Configuration, every weight file, and something to read stimuli with.

    Another program may have cached only the configuration, and a download may have been cut short between two files.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        shards = {str(name) for name in dict(read_json(index).get("weight_map", {})).values()}
        weights = bool(shards) and all((folder / name).is_file() for name in shards)
    else:
        weights = any(path.is_file() for path in folder.glob("*.safetensors"))
    return weights and (folder / "config.json").is_file() and any((folder / name).is_file() for name in _READERS)
