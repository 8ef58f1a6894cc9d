"""Hub models: the local cache first, no pickles, and one clear message for everything that is not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from conceptprobe.errors import MissingError, UnsafeModelError
from conceptprobe.models import resolve
from conceptprobe.models.hub import UNWANTED, WANTED

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def put(cache: Path, source: Path, repo: str, ref: str = "main") -> Path:
    """A snapshot as huggingface_hub lays it out."""
    root = cache / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / ref).write_text(COMMIT)
    shutil.copytree(source, root / "snapshots" / COMMIT)
    return root / "snapshots" / COMMIT


def test_a_cached_model_needs_no_network(empty_cache: Path, folders: dict[str, Path]) -> None:
    put(empty_cache, folders["gpt2"], "org/name")
    spec = resolve("org/name")
    assert (spec.info.source, spec.info.revision, spec.info.family) == ("org/name", COMMIT, "gpt2")
    assert spec.info.sha256 == resolve(str(folders["gpt2"])).info.sha256
    assert "org/name" in spec.info.lineage
    assert resolve(f"org/name@{COMMIT}").info.name == f"org/name@{COMMIT}"


def test_a_revision_is_its_own_snapshot(empty_cache: Path, folders: dict[str, Path]) -> None:
    put(empty_cache, folders["gpt2"], "org/name", ref="v2")
    assert resolve("org/name@v2").info.revision == COMMIT
    with pytest.raises(MissingError):
        resolve("org/name@v3")


def test_no_network_is_one_message_with_a_way_out() -> None:
    with pytest.raises(MissingError, match="'org/absent' is not in the local hub cache and the hub cannot be") as error:
        resolve("org/absent")
    assert error.value.exit_code == 3
    assert "local folder" in error.value.hint


def test_a_plan_does_not_download() -> None:
    with pytest.raises(MissingError, match="not in the local hub cache"):
        resolve("org/absent", download=False)


def test_a_snapshot_of_a_configuration_alone_is_not_a_model(empty_cache: Path, folders: dict[str, Path]) -> None:
    (put(empty_cache, folders["gpt2"], "org/half") / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="cannot be reached"):
        resolve("org/half")


def answer(monkeypatch: pytest.MonkeyPatch, files: list[str] | None = None, error: Exception | None = None) -> None:
    """A hub that answers so."""

    def model_info(self: object, repo: str, **_: object) -> SimpleNamespace:
        if error is not None:
            raise error
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=f) for f in files or []])

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)


def hub_error(kind: type[HfHubHTTPError]) -> HfHubHTTPError:
    module = pytest.importorskip(HfHubHTTPError.__bases__[0].__module__.partition(".")[0])
    return kind("refused", response=module.Response(404, request=module.Request("GET", "https://hub.invalid")))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (GatedRepoError, "is gated"),
        (RepositoryNotFoundError, "no model 'org/name' on the hub"),
        (RevisionNotFoundError, "has no revision 'v9'"),
        (HfHubHTTPError, "cannot be reached"),
    ],
)
def test_each_refusal_of_the_hub_has_its_message(
    kind: type[HfHubHTTPError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, error=hub_error(kind))
    with pytest.raises(MissingError, match=message) as error:
        resolve("org/name@v9")
    assert error.value.hint


def test_a_broken_line_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = pytest.importorskip(HfHubHTTPError.__bases__[0].__module__.partition(".")[0])
    answer(monkeypatch, error=transport.ConnectError("no route"))
    with pytest.raises(MissingError, match="cannot be reached"):
        resolve("org/name")


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, files=["config.json", "pytorch_model.bin", "tokenizer.json"])
    with pytest.raises(UnsafeModelError, match="no safetensors"):
        resolve("org/name")


def test_what_is_fetched_is_never_a_pickle() -> None:
    from huggingface_hub.utils import filter_repo_objects

    files = [
        "config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "tokenizer.json", "vocab.txt",
        "1_Pooling/config.json", "onnx/model.onnx", "onnx/config.json", "modeling_custom.py", "README.md",
        "consolidated.safetensors", "spiece.model",
    ]  # fmt: skip
    kept = set(filter_repo_objects(files, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED)))
    assert kept == {
        "config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "1_Pooling/config.json", "README.md",
        "spiece.model",
    }  # fmt: skip
