"""Arrays that a user brings: .npy, .npz, .safetensors -> {site: [n d]}. Nothing is unpickled, and nothing is trusted."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import MissingError, UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

FORMATS = (".npy", ".npz", ".safetensors")
PICKLED = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".ckpt")
LARGEST = {"float32": 1e17, "float64": 1e150}
"""Beyond these a sum of squares overflows, and a feature would silently count as constant."""
_SAVE = "numpy.save and safetensors write arrays that can be read safely"
_PICKLE = b"\x80"
"""What every pickle of a current protocol begins with."""
_NAMED = 5


def read_arrays(path: Path, sites: tuple[str, ...] = ()) -> dict[str, Float[np.ndarray, "n d"]]:
    """Site -> rows, in the order of the file; `sites` keeps only those.

    An array [n d] is one site, named after the file (.npy) or as in the file; [n sites d] is one site per index of the
    second axis, `NAME.0`, `NAME.1`, ... . Half precision becomes float32, integers float64; a .npy of float32 or float64
    stays memory-mapped. Raises MissingError where there is no file, UsageError for everything that is not a table of
    finite numbers.
    """
    found = open_arrays(path)
    for site in sites:
        if site not in found:
            raise UsageError(
                f"{path} has no site '{site}'.{did_you_mean(site, found)}", hint=f"it has {listed(list(found))}"
            )
    found = {name: x for name, x in found.items() if not sites or name in sites}
    same_rows(path, found)
    return {name: finite_rows(path, name, x) for name, x in found.items()}


def open_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "n d"]]:
    """Site -> rows as `read_arrays` names them, of any real type: numbers are not looked at yet. Raises as it does."""
    if not path.exists():
        raise MissingError(
            f"no file {path}", hint=f"arrays are {', '.join(FORMATS)} files of shape [n d] or [n sites d]"
        )
    if path.suffix.lower() not in FORMATS:
        pickled = path.suffix.lower() in PICKLED
        raise UsageError(
            f"{path} is a pickle, which could run code: it is never opened"
            if pickled
            else f"{path}: arrays are read from {', '.join(FORMATS)}, not '{path.suffix}'",
            hint=_SAVE,
        )
    try:
        raw = _READ[path.suffix.lower()](path)
    except Exception as error:  # damaged bytes make a parser fail in ways that nobody lists
        raise UsageError(_unreadable(path, error), hint=_SAVE) from error
    if not raw:
        raise UsageError(f"{path} holds no array", hint="one array [n d] or more is needed")
    found: dict[str, np.ndarray] = {}
    for name, array in raw.items():
        found.update(_sites(path, name, array))
    return found


def _unreadable(path: Path, error: Exception) -> str:
    if path.is_dir():
        return f"{path} is a folder"
    if isinstance(error, PermissionError):
        return f"{path} cannot be read: {error.strerror}"
    if path.stat().st_size == 0:
        return f"{path} is empty"
    if isinstance(error, MemoryError):
        return f"{path} does not fit into memory"
    with path.open("rb") as file:
        pickled = file.read(1) == _PICKLE
    if pickled or any(word in str(error) for word in ("Object arrays", "Python objects")):
        return f"{path} holds pickled objects, not numbers: they could run code and are never opened"
    return f"{path} is damaged, or no {path.suffix} file"


def _npy(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    # not numpy.load, which takes an archive or a pickle of any name for what it is
    return {path.stem: np.lib.format.open_memmap(path, mode="r")}


def _npz(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > os.sysconf("SC_PAGE_SIZE") * os.sysconf(
            "SC_PHYS_PAGES"
        ):
            raise MemoryError
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            kinds = {name: file.get_slice(name).get_dtype() for name in names}
            plain = {name: file.get_tensor(name) for name, kind in kinds.items() if kind not in _TORCH_ONLY}
        if len(plain) < len(kinds):
            with safe_open(path, framework="pt") as file:
                rest = {name: file.get_tensor(name).float().numpy() for name in kinds if name not in plain}
            plain = {name: plain.get(name, rest.get(name)) for name in kinds}
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return plain


_READ = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
_TORCH_ONLY = ("BF16", "F8_E4M3", "F8_E5M2")
"""Types that numpy has no name for."""


def _sites(path: Path, name: str, array: np.ndarray) -> Mapping[str, np.ndarray]:
    what = f"{path}: array '{name}'"
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{what} holds {array.dtype}, not real numbers", hint="features are floats or integers")
    if array.ndim not in (2, 3):
        shape = " x ".join(map(str, array.shape)) or "a single number"
        raise UsageError(
            f"{what} is {shape}; [n d] or [n sites d] is needed",
            hint="pool token positions to one row per stimulus first: mean, last, or the concept's span",
        )
    if 0 in array.shape:
        raise UsageError(f"{what} is empty: its shape is {' x '.join(map(str, array.shape))}", hint=_SAVE)
    if array.ndim == 2:
        return {name: array}
    return {f"{name}.{i}": array[:, i] for i in range(array.shape[1])}


def same_rows(path: Path, sites: Mapping[str, np.ndarray]) -> None:
    """Raises UsageError where the sites of one file differ in rows."""
    counts = {name: len(x) for name, x in sites.items()}
    if len(set(counts.values())) > 1:
        (a, n), (b, m) = next(
            (first, other) for first in counts.items() for other in counts.items() if first[1] != other[1]
        )
        raise UsageError(
            f"{path}: its arrays differ in rows: '{a}' has {n:,}, '{b}' has {m:,}",
            hint="row i of every site is the same stimulus; --site NAME takes only some of the arrays",
        )


def finite_rows(path: Path, name: str, array: Shaped[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The rows as float32 or float64, still memory-mapped where they can be.

    Raises UsageError, with rows and a column, for NaN and Inf, and for numbers whose squares overflow.
    """
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    elif array.dtype.itemsize < 4:
        array = array.astype(np.float32)
    elif array.dtype.name not in LARGEST or not array.dtype.isnative:
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    bad: list[int] = []
    largest = 0.0
    for start in range(0, len(array), 4096):  # in pieces: a memory-mapped file need not fit
        piece = np.asarray(array[start : start + 4096])
        ok = np.isfinite(piece).all(axis=1)
        bad += (start + np.flatnonzero(~ok)).tolist()
        largest = max(largest, float(np.abs(piece[ok]).max(initial=0.0)))
    if bad:
        column = int(np.flatnonzero(~np.isfinite(array[bad[0]]))[0])
        raise UsageError(
            f"{path}: site '{name}' has NaN or Inf in {len(bad):,} of {len(array):,} rows: {listed(bad)} (from 0), "
            f"first in column {column:,} of row {bad[0]:,}",
            hint="drop these rows from every array and table, or find out what made them",
        )
    if largest > LARGEST[array.dtype.name]:
        raise UsageError(
            f"{path}: site '{name}' has values up to {largest:.0e}, whose squares overflow {array.dtype.name}",
            hint="divide the features by a constant: whatever standardises them, or ignores scale, does not notice",
        )
    return array


def listed(things: Sequence[int] | Sequence[str]) -> str:
    """The first few by name, and how many more there are."""
    shown = ", ".join(map(str, things[:_NAMED]))
    return shown + (f" and {len(things) - _NAMED:,} more" if len(things) > _NAMED else "")
