"""The cache: one safetensors file per (model, stimuli, site, pooling), named by the hash of all that decides it.

Nothing is ever updated in place: a file is written beside its name and moved there, so that runs at the same time and
killed runs leave whole entries or none. What is read is checked (header, size, checksum); a damaged entry is deleted,
reported through `warn`, and made again. safetensors and JSON only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.files import write_bytes
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
        try:
            with self._file("activations", key).open("rb") as handle:
                return _layout(handle)[0][_TENSOR].shape[0] == rows
        except (OSError, CorruptError, KeyError, IndexError):
            return False

    def get(self, key: str, rows: int) -> Path | None:
        """Path of a whole entry, checksum verified, or None. A damaged one is deleted with a warning."""
        path = self._file("activations", key)
        if not path.exists():
            return None
        try:
            array, metadata = _open_rows(path)
            if array.ndim != 2 or len(array) != rows or array.dtype != np.float32:
                raise CorruptError(f"it holds {array.dtype} of shape {array.shape}, not {rows} float32 rows")
            if _checksum({_TENSOR: array}) != metadata.get("crc32"):
                raise CorruptError("its checksum differs")
        except (CorruptError, OSError) as error:
            self._discard(path, error)
            return None
        return path

    def put(self, key: str, rows: Float[np.ndarray, "n d"], about: Mapping[str, Any]) -> Path:
        """Write one entry and, beside it, what it is; UsageError where the folder cannot be written."""
        from safetensors.numpy import save

        rows = np.ascontiguousarray(rows, dtype=np.float32)
        path = self._file("activations", key)
        self._write(path, save({_TENSOR: rows}, metadata={"crc32": _checksum({_TENSOR: rows})}))
        self._write(path.with_suffix(".json"), _json(about))
        return path

    def about(self, key: str) -> Mapping[str, Any]:
        """What was written beside an entry of activations; empty where that is lost."""
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(self._file("activations", key).with_suffix(".json").read_text("utf-8"))
            return read if isinstance(read, dict) else {}
        return {}

    # --- anything else a stage makes: findings, coordinates, trained directions ---

    def get_artefact(self, key: str) -> tuple[Any, dict[str, Shaped[np.ndarray, ...]]] | None:
        """(JSON value, arrays) stored under the key, or None. A damaged one is deleted with a warning."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self._file("artefacts", key)
        if not path.exists():
            return None
        try:
            raw = path.read_bytes()
            metadata = _layout(io.BytesIO(raw))[1]
            arrays = load(raw)
            if _checksum(arrays, metadata["value"]) != metadata["crc32"]:
                raise CorruptError("its checksum differs")
            return json.loads(metadata["value"]), arrays
        except (CorruptError, OSError, ValueError, KeyError, SafetensorError) as error:
            self._discard(path, error)
            return None

    def put_artefact(
        self,
        key: str,
        value: Any,
        arrays: Mapping[str, Shaped[np.ndarray, ...]] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Store a JSON value and named arrays, in one file, so that they always belong together."""
        from safetensors.numpy import save

        kept = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        text = json.dumps(value, ensure_ascii=False)
        metadata = {"value": text, "about": json.dumps(dict(about or {})), "crc32": _checksum(kept, text)}
        self._write(self._file("artefacts", key), save(kept, metadata=metadata))

    # --- the `cache` command ---

    def entries(self) -> Iterator[Entry]:
        """Every entry, by kind and key."""
        for kind in _KINDS:
            for path in sorted((self.path / kind).glob("*/*.safetensors")):
                with contextlib.suppress(OSError, ValueError, CorruptError):
                    beside = path.with_suffix(".json")
                    size = path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
                    about = json.loads(beside.read_text("utf-8") if beside.exists() else _about(path))
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

    def _file(self, kind: str, key: str) -> Path:
        return self.path / kind / key[:2] / f"{key}.safetensors"

    def _files(self) -> list[Path]:
        found = [p for kind in _KINDS for p in (self.path / kind).glob("*/*") if p.is_file()]
        return found + [p for p in [self.path / "hashes.json"] if p.is_file()]

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_bytes(path, content)
        except UsageError as error:
            raise self._unwritable(error.__cause__ or error) from error

    def _unwritable(self, error: BaseException) -> UsageError:
        return UsageError(
            f"the cache folder {self.path} cannot be written: {getattr(error, 'strerror', None) or error}",
            hint="set CONCEPTPROBE_CACHE to a folder you may write to",
        )

    def _discard(self, path: Path, why: Exception) -> None:
        self._warn(f"the cache entry {path.name} is damaged ({why}); it is made again")
        for file in (path, path.with_suffix(".json")):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Tensor:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def read_rows(path: Path) -> Float[np.ndarray, "n d"]:
    """The rows of an activations entry, memory-mapped where large; CorruptError when the file is not whole."""
    return _open_rows(path)[0]


def _open_rows(path: Path) -> tuple[Float[np.ndarray, "n d"], Mapping[str, Any]]:
    """Rows and metadata through one handle: another run may put its own copy of the entry there at any moment."""
    with path.open("rb") as handle:
        tensors, metadata = _layout(handle)
        if _TENSOR not in tensors:
            raise CorruptError("it holds no rows")
        at = tensors[_TENSOR]
        count = int(np.prod(at.shape))
        if count * at.dtype.itemsize > MAP_ABOVE_BYTES:
            return np.memmap(handle, dtype=at.dtype, mode="r", offset=at.offset, shape=at.shape), metadata
        handle.seek(at.offset)
        return np.fromfile(handle, dtype=at.dtype, count=count).reshape(at.shape), metadata


def _layout(handle: BinaryIO) -> tuple[dict[str, _Tensor], Mapping[str, Any]]:
    """Place of each tensor, and the metadata. safetensors: 8 bytes length of the header, JSON header, bytes."""
    length = int.from_bytes(handle.read(8), "little")
    start, size = 8 + length, handle.seek(0, io.SEEK_END)
    if not 0 < length < size:
        raise CorruptError("its header is damaged")
    handle.seek(8)
    tensors: dict[str, _Tensor] = {}
    try:
        header = json.loads(handle.read(length))
        metadata = dict(header.pop("__metadata__", {}))
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            shape = tuple(int(n) for n in entry["shape"])
            # Another type can only be an artefact's, which safetensors itself reads.
            dtype = np.dtype(_DTYPES.get(entry["dtype"], "V1"))
            if start + end > size or (dtype.kind != "V" and int(np.prod(shape)) * dtype.itemsize != end - begin):
                raise CorruptError("it is cut short")
            tensors[name] = _Tensor(dtype, shape, start + begin)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError("its header is damaged") from error
    return tensors, metadata


_DTYPES = {"F32": "<f4", "I32": "<i4"}


def _about(path: Path) -> str:
    with path.open("rb") as handle:
        return str(_layout(handle)[1].get("about", "{}"))


def _checksum(arrays: Mapping[str, Shaped[np.ndarray, ...]], text: str = "") -> str:
    """CRC-32 over what each array is and its bytes: against damage, not against malice."""
    crc = zlib.crc32(text.encode())
    for name, array in sorted(arrays.items()):
        crc = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
