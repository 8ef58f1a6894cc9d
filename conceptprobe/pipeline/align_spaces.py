"""The arrays of `conceptprobe align`: files -> sites of items, with what was averaged, what is left out, and what to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.pipeline.align_config import AlignConfig
from conceptprobe.pipeline.arrays import finite_rows, listed, open_arrays, same_rows
from conceptprobe.pipeline.labels import read_columns

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_PIECE = 4096
"""Rows read at once: a memory-mapped file need not fit."""
_YES, _NO = {"1", "+1", "1.0", "true", "yes"}, {"0", "-1", "0.0", "false", "no"}


@dataclass(frozen=True)
class Failure:
    """Something that was left out: `what` names the metric and the arrays."""

    what: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Space:
    """One file: site -> one row per item."""

    name: str
    sites: Mapping[str, Float[np.ndarray, "n d"]]
    rows: int
    """Rows of the file, before averaging."""

    @property
    def n(self) -> int:
        """Items."""
        return len(next(iter(self.sites.values())))


@dataclass(frozen=True)
class Items:
    """What the rows are: `item` numbers the item of each row (None: each row is one); `focus`: the items that ask."""

    item: Int[np.ndarray, " rows"] | None = None
    focus: Bool[np.ndarray, " n"] | None = None
    table: str = ""
    rows: int | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spaces:
    """Everything that was read. A file in which nothing is left is not among `files`."""

    files: list[Space]
    items: Items
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_spaces(config: AlignConfig) -> Spaces:
    """Read and check the files of a checked configuration; average rows to items where a column says so.

    A site that cannot be used (NaN, Inf, all rows the same) is left out, and so is a file with as many rows as no table says.
    Raises MissingError and UsageError for files and tables that cannot be read, and for sites that no file has.
    """
    items = read_items(config)
    raw = {name: open_arrays(path) for name, path in zip(names_of(config.files), config.files, strict=True)}
    _known_sites(config.sites, raw)
    out = Spaces([], items)
    for (name, arrays), path in zip(raw.items(), config.files, strict=True):
        kept = {site: x for site, x in arrays.items() if not config.sites or site in config.sites}
        if not kept:
            raise UsageError(f"{path} has none of the sites named", hint=f"it has {listed(list(arrays))}")
        same_rows(path, kept)
        rows = len(next(iter(kept.values())))
        if items.rows is not None and rows != items.rows:
            out.failures.append(
                Failure(
                    name,
                    f"{name} has {rows:,} rows, {items.table} has {items.rows:,}",
                    "row i of every array and of the table are the same stimulus",
                )
            )
            continue
        sites: dict[str, np.ndarray] = {}
        for site, x in kept.items():
            try:
                averaged = item_means(finite_rows(path, site, x), items.item)
            except UsageError as error:
                out.failures.append(Failure(f"{name}, site {site}", error.message, error.hint))
                continue
            if _usable(name, site, averaged, out):
                sites[site] = averaged
        if sites:
            out.files.append(Space(name, sites, rows))
    return out


def names_of(files: Sequence[Path]) -> list[str]:
    """A short name for each: the file's, or its path where two files have one name, or numbered where one is given twice."""
    count = Counter(path.name for path in set(files))
    names = [path.name if count[path.name] == 1 else str(path) for path in files]
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def read_items(config: AlignConfig) -> Items:
    """Items and focus from the table; without one every row is an item. Raises what `read_columns` raises, and UsageError
    for a focus that is not yes or no, differs within an item, or names no item or all of them."""
    if config.groups is None:
        return Items(said=(_ROWS_ARE_ITEMS,))
    table = read_columns(config.groups, [name for name in (config.group, config.focus) if name])
    rows = len(next(iter(table.values())))
    if not rows:
        raise UsageError(f"{config.groups} has a head and no rows", hint="one row per row of the arrays")
    item, said = None, [_ROWS_ARE_ITEMS]
    if config.group:
        levels = {level: i for i, level in enumerate(dict.fromkeys(table[config.group]))}
        item = np.array([levels[level] for level in table[config.group]], dtype=np.int64)
        each = np.bincount(item)
        many = f"{each.min():,}" if each.min() == each.max() else f"{each.min():,} to {each.max():,}"
        said = [f"An item is the mean of its rows by '{config.group}': {len(each):,} items of {many} rows each."]
    if not config.focus:
        return Items(item, None, config.groups.name, rows, tuple(said))
    asks = _focus(config, table[config.focus])
    focus = asks if item is None else np.bincount(item, weights=asks) / np.bincount(item)
    if ((focus > 0) & (focus < 1)).any():
        raise UsageError(
            f"{config.groups}: column '{config.focus}' differs within one item of '{config.group}'",
            hint="an item asks in all of its rows, or in none",
        )
    focus = focus > 0
    if not focus.any() or focus.all():
        raise UsageError(
            f"{config.groups}: column '{config.focus}' is the same in every row",
            hint="1 where an item asks, 0 where it only answers; without --focus all items ask",
        )
    said.append(
        f"In local metrics only the {int(focus.sum()):,} items with '{config.focus}' ask, and all {len(focus):,} answer."
    )
    return Items(item, focus, config.groups.name, rows, tuple(said))


_ROWS_ARE_ITEMS = (
    "Every row is an item. Where one word stands in several rows, name its column (--groups TABLE --group COLUMN): rows of "
    "one word are neighbours whatever the model."
)


def _focus(config: AlignConfig, cells: Sequence[str]) -> Bool[np.ndarray, " rows"]:
    plain = [cell.strip().lower() for cell in cells]
    if odd := [cell for cell in plain if cell not in _YES | _NO]:
        raise UsageError(
            f"{config.groups}: column '{config.focus}' holds '{odd[0]}', neither yes nor no",
            hint="1 where an item asks, 0 where it only answers",
        )
    return np.array([cell in _YES for cell in plain])


def item_means(x: Float[np.ndarray, "rows d"], item: Int[np.ndarray, " rows"] | None) -> Float[np.ndarray, "n d"]:
    """The mean of the rows of each item, summed in float64; the array itself, still on disk, where every row is one."""
    if item is None:
        return x
    counts = np.bincount(item)
    total = np.zeros((len(counts), x.shape[1]))
    for start in range(0, len(x), _PIECE):
        np.add.at(total, item[start : start + _PIECE], x[start : start + _PIECE])
    return total / counts[:, None]


def _known_sites(wanted: Sequence[str], raw: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    known = list(dict.fromkeys(site for sites in raw.values() for site in sites))
    for site in wanted:
        if site not in known:
            raise UsageError(
                f"no file has a site '{site}'.{did_you_mean(site, known)}", hint=f"they have {listed(known)}"
            )


def _usable(name: str, site: str, x: Float[np.ndarray, "n d"], out: Spaces) -> bool:
    """Whether the items differ at all; tells of constant columns, equal items and more dimensions than items."""
    n, d = x.shape
    where = f"{name}, site {site}"
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    seen: set[int] = set()
    for start in range(0, n, _PIECE):
        piece = np.ascontiguousarray(x[start : start + _PIECE]) + 0.0  # -0 and 0 are one number
        low, high = np.minimum(low, piece.min(axis=0)), np.maximum(high, piece.max(axis=0))
        seen.update(hash(row.tobytes()) for row in piece)
    constant, equal = int((low == high).sum()), n - len(seen)
    if constant == d:
        hint = "the same token of the same text, perhaps: read where stimuli differ"
        out.failures.append(Failure(where, f"{where}: all {n:,} items are the same", hint))
        return False
    if constant:
        out.warnings.append(f"{where}: {constant:,} of {d:,} columns are constant; they carry nothing.")
    if equal:
        out.warnings.append(
            f"{where}: {equal:,} of {n:,} items are exact copies of others. Copies in both arrays agree whatever the model: "
            "drop them, or average them with --group."
        )
    if d > n:
        out.warnings.append(
            f"{where}: {d:,} dimensions for {n:,} items. Metrics that are not debiased then rise towards agreement by "
            "themselves: compare with the null, and read the score against n."
        )
    return True
