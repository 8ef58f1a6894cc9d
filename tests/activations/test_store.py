"""The cache: whole entries or none, whatever happens to the files."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from conceptprobe.activations import Store, key_of
from conceptprobe.activations.store import read_rows
from conceptprobe.errors import UsageError

KEY = key_of({"a": 1})
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> Store:
    return Store(tmp_path / "cache", warn=warnings.append)


@given(rows=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_what_is_put_is_what_is_got(store: Store, rows: np.ndarray) -> None:
    store.put(KEY, rows, {"site": "embed"})
    path = store.get(KEY, len(rows))
    assert path is not None
    assert np.array_equal(read_rows(path), rows, equal_nan=True)
    assert store.has(KEY, len(rows))
    assert not store.has(KEY, len(rows) + 1)


def test_large_entries_are_mapped_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.put(KEY, ROWS, {})
    assert not isinstance(read_rows(path), np.memmap)
    monkeypatch.setattr("conceptprobe.activations.store.MAP_ABOVE_BYTES", 8)
    mapped = read_rows(path)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, ROWS)
    assert store.get(KEY, 4) == path


def test_other_programs_can_read_an_entry(store: Store) -> None:
    from safetensors.numpy import load_file

    path = store.put(KEY, ROWS, {"site": "embed"})
    assert np.array_equal(load_file(path)["rows"], ROWS)
    assert json.loads(path.with_suffix(".json").read_text())["site"] == "embed"


def test_nothing_there_is_no_warning(store: Store, warnings: list[str]) -> None:
    assert store.get(KEY, 4) is None
    assert store.get_artefact(KEY) is None
    assert not store.has(KEY, 4)
    assert not warnings
    assert not store.path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:5],
        lambda raw: raw[:40],
        lambda raw: raw[:-1],
        lambda raw: b"\xff" * 8 + raw[8:],
        lambda raw: raw[:8] + b"#" + raw[9:],
        lambda raw: raw.replace(b'"rows"', b'"cols"'),
        lambda raw: raw.replace(b"[4,3]", b"[3,4]"),
        lambda raw: raw.replace(b"[4,3]", b"[4,9]"),
        lambda raw: raw.replace(b'"F32"', b'"I32"'),
        lambda raw: raw.replace(b'"crc32"', b'"crc33"'),
        lambda raw: raw[:-3] + bytes([raw[-3] ^ 4]) + raw[-2:],
        lambda raw: raw[:8] + b"[]" + b" " * (int.from_bytes(raw[:8], "little") - 2) + raw[-48:],
        lambda raw: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    ],
    ids=range(14),
)
def test_a_damaged_entry_is_noticed_deleted_and_can_be_made_again(
    damage: Callable[[bytes], bytes], store: Store, warnings: list[str]
) -> None:
    path = store.put(KEY, ROWS, {})
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert store.get(KEY, 4) is None
    assert len(warnings) == 1
    assert KEY in warnings[0]
    assert not path.exists()
    store.put(KEY, ROWS, {})
    assert store.get(KEY, 4) == path


def test_an_entry_for_another_number_of_rows_is_not_used(store: Store, warnings: list[str]) -> None:
    store.put(KEY, ROWS, {})
    assert store.get(KEY, 5) is None
    assert len(warnings) == 1


def test_a_folder_in_the_place_of_an_entry_is_no_traceback(store: Store, warnings: list[str]) -> None:
    path = store.put(KEY, ROWS, {})
    path.unlink()
    path.mkdir()
    assert not store.has(KEY, 4)
    assert store.get(KEY, 4) is None
    assert len(warnings) == 1


@pytest.mark.parametrize("value", [None, 3, "text", [1, 2.5], {"a": {"b": [True, None]}}])
@pytest.mark.parametrize(
    "arrays_",
    [{}, {"x": np.arange(5), "y": np.ones((2, 3), np.float32), "z": np.array(True), "t": np.eye(3).T[1:]}],
    ids=["json", "arrays"],
)
def test_artefacts_come_back_as_they_were(value: object, arrays_: dict[str, np.ndarray], store: Store) -> None:
    store.put_artefact(KEY, value, arrays_, about={"what": "umap"})
    found = store.get_artefact(KEY)
    assert found is not None
    assert found[0] == value
    assert found[1].keys() == arrays_.keys()
    for name, array in arrays_.items():
        assert np.array_equal(found[1][name], array)
        assert found[1][name].dtype == array.dtype


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: b"{}",
        lambda raw: raw[:-1],
        lambda raw: raw[:-2] + b"\xff" + raw[-1:],
        lambda raw: raw.replace(b"123.5", b"124.5"),
        lambda raw: raw.replace(b'"value"', b'"velue"'),
        lambda raw: raw.replace(b'"I64"', b'"F64"'),
    ],
    ids=range(7),
)
def test_a_damaged_artefact_is_made_again(damage: Callable[[bytes], bytes], store: Store, warnings: list[str]) -> None:
    store.put_artefact(KEY, {"a": 123.5}, {"x": np.arange(5)})
    (path,) = (store.path / "artefacts").glob("*/*")
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert store.get_artefact(KEY) is None
    assert len(warnings) == 1
    store.put_artefact(KEY, {"a": 1}, {"x": np.arange(5)})
    assert store.get_artefact(KEY) is not None


def test_entries_say_what_they_are_and_clear_takes_all(store: Store) -> None:
    store.put(KEY, ROWS, {"model": "minilm", "site": "embed"})
    store.put_artefact(KEY, 1, {"x": np.arange(5)}, about={"what": "umap"})
    leftover = store.path / "activations" / KEY[:2] / ".killed.tmp"
    leftover.write_bytes(b"half")
    mine = store.path / "notes.txt"
    mine.write_text("not made by the cache")
    entries = {e.kind: e for e in store.entries()}
    assert entries["activations"].about["model"] == "minilm"
    assert entries["artefacts"].about == {"what": "umap"}
    assert sum(e.bytes_ for e in entries.values()) + 4 == store.size()
    assert store.clear() > ROWS.nbytes
    assert store.size() == 0
    assert not list(store.entries())
    assert not leftover.exists()
    assert mine.exists()


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "cache")
    for attempt in (store.check_writable, lambda: store.put(KEY, ROWS, {}), lambda: store.put_artefact(KEY, 1)):
        with pytest.raises(UsageError, match="cannot be written") as error:
            attempt()
        assert "CONCEPTPROBE_CACHE" in error.value.hint
        assert error.value.exit_code == 2


def test_a_write_that_fails_leaves_nothing_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UsageError, match="No space left"):
        store.put(KEY, ROWS, {})
    assert not [p for p in store.path.rglob("*") if p.is_file()]


def _write_many(root: str, value: int) -> None:
    store = Store(Path(root))
    for _ in range(40):
        store.put(KEY, np.full((50, 50), value, np.float32), {"value": value})
        store.put_artefact(KEY, value, {"x": np.full(500, value)})
        found = store.get_artefact(KEY)
        if store.get(KEY, 50) is None or found is None or found[0] != found[1]["x"][0]:
            raise SystemExit(f"{value}: an entry another run was writing looked damaged")


def test_runs_at_the_same_time_never_see_half_an_entry(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_write_many, args=(str(store.path), value)) for value in (1, 2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    path = store.get(KEY, 50)
    assert path is not None
    assert len(np.unique(read_rows(path))) == 1


def test_keys_follow_content_not_order() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
