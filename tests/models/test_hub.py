"""Hub models: the local cache first, no pickles, and one clear message for everything that is not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from conceptprobe.errors import MissingError, UnsafeModelError
from conceptprobe.models import resolve
from conceptprobe.models.hub import NotCachedError, Offer, UnreachableError, offer
from conceptprobe.models.options import Options
from conceptprobe.models.resolve import takes_revision
from conceptprobe.models.text_folder import TextSpec
from hub_server import COMMIT as SERVED
from hub_server import Hub, answers, serving

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


def test_no_network_is_one_message_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(Hub(url="http://127.0.0.1:9"), tmp_path, monkeypatch)
    with pytest.raises(
        UnreachableError, match="'org/absent' is not in the local hub cache and the hub cannot be"
    ) as error:
        resolve("org/absent")
    assert error.value.exit_code == 3
    assert "local folder" in error.value.hint


def test_an_environment_that_forbids_the_hub_is_named() -> None:
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE forbids"):
        resolve("org/absent")


def test_a_plan_does_not_download() -> None:
    with pytest.raises(MissingError, match="not in the local hub cache"):
        resolve("org/absent", download=False)


@pytest.mark.parametrize("gone", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_snapshot_that_lacks_what_a_model_needs_is_not_taken_for_one(
    gone: str, empty_cache: Path, folders: dict[str, Path]
) -> None:
    (put(empty_cache, folders["gpt2"], "org/half") / gone).unlink()
    with pytest.raises(NotCachedError, match="only partly in the local hub cache"):
        resolve("org/half", download=False)


def test_a_snapshot_that_lacks_a_shard_is_not_taken_for_whole(empty_cache: Path, folders: dict[str, Path]) -> None:
    folder = put(empty_cache, folders["gpt2"], "org/shards")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(NotCachedError, match="only partly"):
        resolve("org/shards", download=False)
    shutil.copy(folder / shards["a"], folder / shards["b"])
    assert resolve("org/shards", download=False).info.family == "gpt2"


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


def folder_of(name: str) -> Path:
    spec = resolve(name)
    assert isinstance(spec, TextSpec)
    return spec.folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]) -> Iterator[Hub]:
    """A hub on this machine with one model."""
    with serving() as served:
        answers(served, tmp_path / "home", monkeypatch)
        served.add("org/name", folders["gpt2"])
        yield served


def test_what_is_fetched_is_never_a_pickle(hub: Hub, tmp_path: Path) -> None:
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"}
    others = [
        "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "onnx/config.json", "modeling_custom.py",
        "consolidated.safetensors", "a.pkl",
    ]  # fmt: skip
    hub.models["org/name"] |= {"1_Pooling/config.json": b"{}", **dict.fromkeys(others, b"content")}
    offered = offer("org/name", None)
    assert set(offered.files) == wanted
    assert offered.bytes_ == sum(len(hub.models["org/name"][name]) for name in wanted)
    folder = folder_of("org/name")
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == wanted
    assert set(hub.fetched()) == wanted


def test_a_download_is_the_model_and_is_made_once(hub: Hub, folders: dict[str, Path], tmp_path: Path) -> None:
    local = resolve(str(folders["gpt2"])).info
    spec = resolve("org/name")
    assert (spec.info.sha256, spec.info.revision) == (local.sha256, SERVED)
    hub.asked.clear()
    assert resolve("org/name").info == resolve("org/name", download=False).info == spec.info
    assert hub.asked == []
    with pytest.raises(NotCachedError):
        resolve("org/name", download=False, options=Options(cache_dir=str(tmp_path / "other")))
    assert resolve("org/name", options=Options(cache_dir=str(tmp_path / "other"))).info == spec.info
    assert (tmp_path / "other" / "models--org--name").is_dir()


def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.break_after["model.safetensors"] = 1000
    with pytest.raises(UnreachableError) as error:
        resolve("org/name")
    assert "goes on from there" in error.value.hint
    with pytest.raises(NotCachedError, match="only partly"):
        resolve("org/name", download=False)
    hub.break_after.clear()
    hub.asked.clear()
    hub.resumed.clear()
    spec = resolve("org/name")
    assert set(hub.fetched()) == {"model.safetensors"}
    assert spec.load().info.family == "gpt2"


def test_a_file_that_was_not_fetched_before_the_interruption_is_not_forgotten(
    hub: Hub, folders: dict[str, Path]
) -> None:
    """Everything a model needs is there but the pooling of its sentences: numbers would differ, silently."""
    hub.models["org/name"]["1_Pooling/config.json"] = b"{}"
    whole = folder_of("org/name")
    (whole / "1_Pooling" / "config.json").unlink()
    with pytest.raises(NotCachedError, match="only partly"):
        resolve("org/name", download=False)
    resolve("org/name")
    assert (whole / "1_Pooling" / "config.json").is_file()


def test_a_gated_model_names_its_page_and_the_command_to_log_in(hub: Hub) -> None:
    hub.gated.add("org/name")
    assert isinstance(offer("org/name", None), Offer)
    with pytest.raises(MissingError, match="'org/name' is gated") as error:
        resolve("org/name")
    assert "https://huggingface.co/org/name" in error.value.hint
    assert "hf auth login" in error.value.hint


def test_a_revision_of_the_options_is_for_models_that_name_none(hub: Hub) -> None:
    with pytest.raises(MissingError, match="has no revision 'v9'"):
        resolve("org/name", options=Options(revision="v9"))
    named = resolve(f"org/name@{SERVED}", options=Options(revision="v9"))
    assert named.info.revision == SERVED
    assert resolve("org/name", options=Options(revision=SERVED)).info.sha256 == named.info.sha256


def test_which_models_take_a_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local" / "model").mkdir(parents=True)
    taking = ("org/name", "random:org/name#2", "minilm", "org/name@v1", "local/model", "words:tfidf", str(tmp_path))
    assert [takes_revision(name) for name in taking] == [True, True, False, False, False, False, False]


def test_a_disk_that_cannot_be_written_is_said(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MissingError, match="cannot be stored") as error:
        resolve("org/name", options=Options(cache_dir=str(tmp_path / "file" / "cache")))
    assert "--cache-dir" in error.value.hint
