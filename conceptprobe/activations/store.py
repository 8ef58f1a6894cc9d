"""The cache: one safetensors file per (model, stimuli, site, pooling), named by the hash of all that decides it.

Nothing is ever updated in place: a file is written beside its name and moved there, so that runs at the same time and
killed runs leave whole entries or none. What is read is checked (header, size, checksum); a damaged entry is deleted,
reported through `warn`, and made again. safetensors and JSON only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.hashing import cache_root

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

MAP_ABOVE_BYTES = 64 * 2**20
"""Larger entries are memory-mapped; smaller ones are read, because every map holds an open file."""

_TENSOR = "rows"
_KINDS = ("activations", "artefacts")


@dataclass(frozen=True)
class Entry:
    """One thing in the cache, as `conceptprobe cache` shows it. `about` is its provenance."""

    kind: str
    key: str
    bytes_: int
    modified: float
    about: Mapping[str, Any]


def key_of(parts: Mapping[str, Any]) -> str:
    """sha256 of the parts as JSON, whatever order they were written in."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """The cache folder; `root` defaults to `cache_root()`. Nothing is created before the first write."""

    def __init__(self, root: Path | None = None, warn: Callable[[str], None] | None = None) -> None:
        self.path = root or cache_root()
        self._warn = warn or (lambda _: None)

    # --- activations ---

    def has(self, key: str, rows: int) -> bool:
        """True where an entry of `rows` rows is there and whole, by its header and size; its numbers are not read."""
        path = self._file("activations", key, ".safetensors")
        try:
            return _layout(path)[_TENSOR].shape[0] == rows
        except (OSError, CorruptError, KeyError, IndexError):
            return False

    def get(self, key: str, rows: int) -> Path | None:
        """Path of a whole entry, checksum verified, or None. A damaged one is deleted with a warning."""
        path = self._file("activations", key, ".safetensors")
        if not path.exists():
            return None
        try:
            array = read_rows(path)
            if array.ndim != 2 or len(array) != rows or array.dtype != np.float32:
                raise CorruptError(f"it holds {array.dtype} of shape {array.shape}, not {rows} float32 rows")
            if _checksum(array) != _metadata(path).get("crc32"):
                raise CorruptError("its checksum differs")
        except (CorruptError, OSError) as error:
            self._discard(path, error)
            return None
        return path

    def put(self, key: str, rows: Float[np.ndarray, "n d"], about: Mapping[str, Any]) -> Path:
        """Write one entry and, beside it, what it is; UsageError where the folder cannot be written."""
        from safetensors.numpy import save

        rows = np.ascontiguousarray(rows, dtype=np.float32)
        path = self._file("activations", key, ".safetensors")
        self._write(path, save({_TENSOR: rows}, metadata={"crc32": _checksum(rows)}))
        self._write(path.with_suffix(".json"), _json(about))
        return path

    # --- anything else a stage makes: findings, coordinates, trained directions ---

    def get_artefact(self, key: str) -> tuple[Any, dict[str, Shaped[np.ndarray, ...]]] | None:
        """(JSON value, arrays) stored under the key, or None. A damaged one is deleted with a warning."""
        path = self._file("artefacts", key, ".json")
        if not path.exists():
            return None
        try:
            record = json.loads(path.read_text("utf-8"))
            arrays: dict[str, np.ndarray] = {}
            if record["crc32"] is not None:
                raw = path.with_suffix(".safetensors").read_bytes()
                if f"{zlib.crc32(raw):08x}" != record["crc32"]:
                    raise CorruptError("its checksum differs")
                from safetensors.numpy import load

                arrays = load(raw)
            return record["value"], arrays
        except (CorruptError, OSError, ValueError, KeyError, TypeError) as error:
            self._discard(path, error)
            return None

    def put_artefact(
        self,
        key: str,
        value: Any,
        arrays: Mapping[str, Shaped[np.ndarray, ...]] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Store a JSON value and named arrays. The JSON is written last: without it there is no entry."""
        from safetensors.numpy import save

        path = self._file("artefacts", key, ".json")
        crc32 = None
        if arrays:
            raw = save({name: np.ascontiguousarray(a) for name, a in arrays.items()})
            crc32 = f"{zlib.crc32(raw):08x}"
            self._write(path.with_suffix(".safetensors"), raw)
        self._write(path, _json({"crc32": crc32, "about": dict(about or {}), "value": value}))

    # --- the `cache` command ---

    def entries(self) -> Iterator[Entry]:
        """Every entry, by kind and key."""
        for kind in _KINDS:
            for path in sorted((self.path / kind).glob("*/*.json")):
                with contextlib.suppress(OSError, ValueError):
                    record = json.loads(path.read_text("utf-8"))
                    beside = path.with_suffix(".safetensors")
                    size = path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
                    about = record.get("about", record) if kind == "artefacts" else record
                    yield Entry(kind, path.stem, size, path.stat().st_mtime, about)

    def size(self) -> int:
        """Bytes of all files of the cache."""
        return sum(p.stat().st_size for p in self._files())

    def clear(self) -> int:
        """Delete every entry and the leftovers of killed runs; the number of bytes freed. No other file is touched."""
        freed = 0
        for path in self._files():
            try:
                freed += path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unwritable(error) from error
        return freed

    def check_writable(self) -> None:
        """UsageError now rather than after minutes of computing."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise self._unwritable(error) from error

    # --- files ---

    def _file(self, kind: str, key: str, suffix: str) -> Path:
        return self.path / kind / key[:2] / f"{key}{suffix}"

    def _files(self) -> list[Path]:
        found = [p for kind in _KINDS for p in (self.path / kind).glob("*/*") if p.is_file()]
        return found + [p for p in [self.path / "hashes.json"] if p.is_file()]

    def _write(self, path: Path, content: bytes) -> None:
        temporary = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"the cache folder {self.path} cannot be written: {error.strerror or error}",
            hint="set CONCEPTPROBE_CACHE to a folder you may write to",
        )

    def _discard(self, path: Path, why: Exception) -> None:
        self._warn(f"the cache entry {path.name} is damaged ({why}); it is made again")
        for file in (path, path.with_suffix(".safetensors"), path.with_suffix(".json")):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Tensor:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def read_rows(path: Path) -> Float[np.ndarray, "n d"]:
    """The rows of an activations entry, memory-mapped where large; CorruptError when the file is not whole."""
    try:
        at = _layout(path)[_TENSOR]
    except KeyError as error:
        raise CorruptError("it holds no rows") from error
    if int(np.prod(at.shape)) * at.dtype.itemsize > MAP_ABOVE_BYTES:
        return np.memmap(path, dtype=at.dtype, mode="r", offset=at.offset, shape=at.shape)
    flat = np.fromfile(path, dtype=at.dtype, count=int(np.prod(at.shape)), offset=at.offset)
    return flat.reshape(at.shape)


def _layout(path: Path) -> dict[str, _Tensor]:
    """Name -> place of each tensor. safetensors: 8 bytes length of the header, JSON header, bytes."""
    header, start = _header(path)
    size = path.stat().st_size
    found: dict[str, _Tensor] = {}
    try:
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(int(n) for n in entry["shape"])
            if start + end > size or int(np.prod(shape)) * dtype.itemsize != end - begin:
                raise CorruptError("it is cut short")
            found[name] = _Tensor(dtype, shape, start + begin)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError("its header is not one of ours") from error
    return found


_DTYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if not 0 < length < 2**20:
            raise CorruptError("its header is damaged")
        raw = handle.read(length)
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise CorruptError("its header is damaged") from error
    if not isinstance(header, dict):
        raise CorruptError("its header is damaged")
    return header, 8 + length


def _metadata(path: Path) -> Mapping[str, Any]:
    found = _header(path)[0].get("__metadata__", {})
    return found if isinstance(found, dict) else {}


def _checksum(rows: Float[np.ndarray, "n d"]) -> str:
    return f"{zlib.crc32(np.ascontiguousarray(rows).data.cast('B')):08x}" if rows.size else "0"


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
