"""Hashes of files: right, remembered, and never wrong because of what was remembered."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from conceptprobe.models import hashing
from conceptprobe.models.hashing import cache_root, combined, file_sha256, files_sha256


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hashes.json"


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    digest = hashing._digest
    monkeypatch.setattr(hashing, "_digest", lambda path: read.append(path) or digest(path))
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert file_sha256(file) == file_sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 1
    file.write_bytes(b"two")  # same size: the time tells
    os.utime(file, ns=(1, 1))
    assert file_sha256(file) == hashlib.sha256(b"two").hexdigest()
    assert len(read) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "\x00"])
def test_a_broken_memory_is_ignored(content: str, memory: Path, tmp_path: Path) -> None:
    memory.parent.mkdir()
    memory.write_text(content)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert file_sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert hashlib.sha256(b"one").hexdigest() in json.loads(memory.read_text()).values()


def test_a_memory_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "file" / "cache"))
    assert files_sha256([tmp_path / "file"])


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("CONCEPTPROBE_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "conceptprobe"


def test_parts_are_told_apart_by_name_not_by_order() -> None:
    assert combined({"a": "1", "b": "2"}) == combined({"b": "2", "a": "1"}) != combined({"a": "2", "b": "1"})
