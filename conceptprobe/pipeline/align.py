"""Alignment metrics on a user's own arrays: every metric on every pair of sites of every pair of files.

One set of permutations renames the items of the second array in all cells, so that the map has one null (DESIGN rule 2). What
arrays cannot give is left out and said: there is no random twin, so nothing is called supported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from conceptprobe.alignment.pairs import AT_ONCE, all_pairs
from conceptprobe.errors import ConceptprobeError, TooFewRows, UsageError
from conceptprobe.pipeline.align_config import AlignConfig, Chosen, chosen_metrics
from conceptprobe.pipeline.align_sizes import Size, score_against_n
from conceptprobe.pipeline.align_spaces import Failure, Space, Spaces, read_spaces
from conceptprobe.pipeline.probe_config import USUAL_DRAWS
from conceptprobe.pipeline.progress import Reporter, Silent
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_interval
from conceptprobe.stats.maxstat import max_statistic, survives
from conceptprobe.stats.seeds import generator
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

NO_TWIN = (
    "Nothing was compared with an untrained twin: arrays have none. Shared words alone make spaces alike, so nothing here is "
    "called supported."
)


@dataclass(frozen=True)
class SiteMap:
    """One metric of one file with another; arrays are [sites of a, sites of b], nan where a cell could not be measured.

    For a metric that is not symmetric, a asks about b. `n`: items. `null_q95`: the value that 95% of the null stay short of, on
    the side of agreement. `z`, `p_map`: the max-statistic over this map.
    """

    chosen: Chosen
    a: str
    b: str
    sites_a: tuple[str, ...]
    sites_b: tuple[str, ...]
    rows: int
    n: int
    value: Float[np.ndarray, "a b"]
    ci_low: Float[np.ndarray, "a b"]
    ci_high: Float[np.ndarray, "a b"]
    null_mean: Float[np.ndarray, "a b"]
    null_q95: Float[np.ndarray, "a b"]
    p: Float[np.ndarray, "a b"]
    z: Float[np.ndarray, "a b"]
    p_map: Float[np.ndarray, "a b"]

    @property
    def survives(self) -> Bool[np.ndarray, "a b"]:
        """Cells beyond what the best cell of a map of renamed items reaches in 95% of permutations."""
        return survives(self.p_map)

    @property
    def measured(self) -> Bool[np.ndarray, "a b"]:
        """Cells that have a value."""
        return np.isfinite(self.value)


@dataclass(frozen=True)
class Aligned:
    """What came of it: maps in the order of the pairs of files and, within one, of the metrics."""

    maps: list[SiteMap]
    sizes: list[Size]
    spaces: Spaces
    failures: list[Failure]
    warnings: list[str]


def align(config: AlignConfig, reporter: Reporter | None = None) -> Aligned:
    """Everything from files. Raises a ConceptprobeError for what stops the whole; what stops a part is among `failures`."""
    config = config.checked()
    return measure(read_spaces(config), config, reporter)


def measure(spaces: Spaces, config: AlignConfig, reporter: Reporter | None = None) -> Aligned:
    """All metrics of a checked configuration. Raises UsageError where not one cell can be measured."""
    reporter = reporter or Silent()
    metrics = chosen_metrics(config)
    failures, warnings = list(spaces.failures), list(dict.fromkeys(spaces.warnings))
    warnings += _warnings(config, metrics)
    pairs = list(_same_rows(spaces, failures))
    found: list[tuple[int, SiteMap]] = []
    with threadpool_limits(1, user_api="blas"):
        for chosen in metrics:
            found += _maps(chosen, pairs, spaces, config, failures, reporter)
        # by pair of files first, then by metric: that is how they are read
        ordered = [one for _, one in sorted(found, key=lambda pair: pair[0])]
        if not ordered:
            raise _nothing(failures)
        sizes = _sizes(ordered, metrics, spaces, config, reporter)
    return Aligned(ordered, sizes, spaces, failures, warnings)


def _maps(
    chosen: Chosen,
    pairs: list[tuple[Space, Space]],
    spaces: Spaces,
    config: AlignConfig,
    failures: list[Failure],
    reporter: Reporter,
) -> Iterator[tuple[int, SiteMap]]:
    """The maps of one metric, each with the place of its pair. A site is prepared once and serves all pairs."""
    files = {space.name: space for pair in pairs for space in pair}
    sites = [(name, site) for name, space in files.items() for site in space.sites]
    if short := _memory(files, len(sites)):
        failures.append(Failure(chosen.name, *short))
        return
    with reporter.task(f"{chosen.name}: preparing {len(sites)} sites") as advance:
        prepared: dict[tuple[str, str], Any] = {}
        made = two_at_a_time(lambda key: _tried(chosen.metric.prepare, files[key[0]].sites[key[1]]), sites)
        for done, (key, one) in enumerate(zip(sites, made, strict=True), start=1):
            prepared[key] = one
            advance(done, len(sites))
    for place, (a, b) in enumerate(pairs):
        for first, second in [(a, b)] if chosen.symmetric else [(a, b), (b, a)]:
            with reporter.task(f"{chosen.name}: {first.name} and {second.name}") as advance:
                made_map = _map(chosen, first, second, prepared, spaces, config, failures, advance)
            if made_map is not None:
                yield place, made_map


def _map(
    chosen: Chosen,
    a: Space,
    b: Space,
    prepared: Mapping[tuple[str, str], Any],
    spaces: Spaces,
    config: AlignConfig,
    failures: list[Failure],
    advance: Callable[[int, int], None],
) -> SiteMap | None:
    cells = [(i, j) for i in range(len(a.sites)) for j in range(len(b.sites))]
    sites_a, sites_b = tuple(a.sites), tuple(b.sites)
    orders = permutations_of(a.n, config)
    focus = spaces.items.focus if chosen.local else None
    shape = (len(sites_a), len(sites_b))
    out = {name: np.full(shape, np.nan) for name in _COLUMNS}
    nulls = np.full((len(orders), *shape), np.nan)

    at_once = _tried(_nulls_at_once, chosen, a, b, orders, focus)  # where that fails, the cells say why

    def one(cell: tuple[int, int]) -> Any:
        x, y = sites_a[cell[0]], sites_b[cell[1]]
        null = at_once[(slice(None), *cell)] if isinstance(at_once, np.ndarray) else None
        shapes = (a.sites[x].shape, b.sites[y].shape)
        return _tried(_cell, chosen, shapes, prepared[a.name, x], prepared[b.name, y], orders, focus, null)

    broken: dict[Broken, list[str]] = {}
    for done, (cell, found) in enumerate(zip(cells, two_at_a_time(one, cells), strict=True), start=1):
        advance(done, len(cells))
        if isinstance(found, Broken):
            broken.setdefault(found, []).append(f"{sites_a[cell[0]]} and {sites_b[cell[1]]}")
            continue
        values, null = found
        nulls[(slice(None), *cell)] = null
        for name, value in values.items():
            out[name][cell] = value
    for fault, where in broken.items():
        which = "" if len(where) == len(cells) else f", at {where[0]}" if len(where) == 1 else f", {len(where)} cells"
        failures.append(Failure(f"{chosen.name}, {a.name} and {b.name}{which}", fault.message, fault.hint))
    if not np.isfinite(out["value"]).any():
        return None
    peak = max_statistic(chosen.sign * out["value"], chosen.sign * nulls)
    return SiteMap(chosen, a.name, b.name, sites_a, sites_b, a.rows, a.n, **out, z=peak.z, p_map=peak.p)


_COLUMNS = ("value", "ci_low", "ci_high", "null_mean", "null_q95", "p")


def _cell(
    chosen: Chosen,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    a: Any,
    b: Any,
    orders: Int[np.ndarray, "k n"],
    focus: Bool[np.ndarray, " n"] | None,
    null: Float[np.ndarray, " k"] | None,
) -> tuple[dict[str, float], Float[np.ndarray, " k"]]:
    """The numbers of one cell, and its null, which may be known already. shapes: [n, d] of the two arrays; a, b: what was
    prepared of them."""
    chosen.metric.check(shapes[0][0], shapes[0][1], shapes[1][1])
    for one in (a, b):
        if isinstance(one, Broken):
            raise UsageError(one.message, hint=one.hint)
    with np.errstate(all="ignore"):  # a number that is none is met below
        value = float(chosen.metric.compare(a, b, focus))
        if null is None:
            null = np.asarray(chosen.metric.null(a, b, orders, focus), dtype=np.float64)
        left_out = np.asarray(chosen.metric.leave_one_out(a, b, focus), dtype=np.float64)
    if not (np.isfinite(value) and np.isfinite(null).all()):
        raise UsageError(
            "the metric, or its null, is not a number on these arrays", hint="look for items that are all zero"
        )
    low, high = jackknife_interval(value, left_out)
    numbers = {
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "null_mean": float(null.mean()),
        "null_q95": float(np.quantile(null, 0.95 if chosen.sign > 0 else 0.05)),
        "p": add_one_p(chosen.sign * value, chosen.sign * null),
    }
    return numbers, null


AT_ONCE_FROM = 50
"""Items. With fewer, cell by cell costs nothing, and a draw may meet the observed order, where 1e-6 would decide a tie."""


def _nulls_at_once(
    chosen: Chosen, a: Space, b: Space, orders: Int[np.ndarray, "k n"], focus: Bool[np.ndarray, " n"] | None
) -> Float[np.ndarray, "k a b"] | None:
    """The nulls of a whole map, many times faster than its cells and within 1e-6 of them; None where there is no such way."""
    if chosen.name not in AT_ONCE or a.n < AT_ONCE_FROM or len(a.sites) * len(b.sites) == 1:
        return None
    stacks = list(a.sites.values()), list(b.sites.values())
    # a metric without neighbours never looks at k
    return all_pairs(*stacks, chosen.name, k=chosen.k or 1, permutations=orders, focus=focus).null


def permutations_of(n: int, config: AlignConfig) -> Int[np.ndarray, "k n"]:
    """New names for n items, `config.permutations` times: the same for every metric and every cell."""
    rng = generator(config.seed, "align", "null", str(n))
    return rng.permuted(np.tile(np.arange(n), (config.permutations, 1)), axis=1)


@dataclass(frozen=True)
class Broken:
    """Why something could not be computed."""

    message: str
    hint: str


def _tried(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or Broken: one metric that fails must not take the others along."""
    try:
        return function(*arguments)
    except TooFewRows as error:
        return Broken(error.message, error.hint or "more items, a smaller --k, or another metric")
    except ConceptprobeError as error:
        return Broken(error.message, error.hint)
    except MemoryError:
        return Broken("does not fit into memory", _LESS)
    except Exception as error:  # a metric may be a plugin, or end in a decomposition that does not converge
        return Broken(f"{type(error).__name__}: {error}", "leave this metric out")


_LESS = "fewer --site, rows averaged to items with --group, or a subset of the rows"


def _memory(files: Mapping[str, Space], sites: int) -> tuple[str, str] | None:
    """What to say where the matrices of all sites [n n] would not fit: most metrics hold one per site."""
    n = max((space.n for space in files.values()), default=0)
    need = 8 * n * n * (sites + 6)
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if need <= 0.7 * have:
        return None
    return (
        f"{n:,} items at {sites} sites need about {need / 1e9:.0f} GB; this machine has {have / 1e9:.0f} GB",
        _LESS,
    )


def _same_rows(spaces: Spaces, failures: list[Failure]) -> Iterator[tuple[Space, Space]]:
    """Pairs of files that have the same items; the others are failures."""
    for a, b in combinations(spaces.files, 2):
        if a.n == b.n:
            yield a, b
            continue
        hint = "row i of both must be the same stimulus"
        if len(a.sites) == b.n or len(b.sites) == a.n:
            hint = "[n sites d]: the first two axes of one of them may have to be swapped"
        elif any(x.shape[1] == b.n for x in a.sites.values()) or any(y.shape[1] == a.n for y in b.sites.values()):
            hint = "the columns of one are as many as the rows of the other: transpose it"
        failures.append(
            Failure(f"{a.name} and {b.name}", f"{a.name} has {a.rows:,} rows, {b.name} has {b.rows:,}", hint)
        )


def _sizes(
    maps: list[SiteMap], metrics: list[Chosen], spaces: Spaces, config: AlignConfig, reporter: Reporter
) -> list[Size]:
    """Score against n for the first pair of files, at the last site of each: fixed before any number was seen."""
    a, b = maps[0].a, maps[0].b
    files = {space.name: space for space in spaces.files}
    out: list[Size] = []
    own = [one for one in maps if {one.a, one.b} == {a, b}]
    with reporter.task("score against n") as advance:
        for done, one in enumerate(own, start=1):
            x, y = files[one.a].sites[one.sites_a[-1]], files[one.b].sites[one.sites_b[-1]]
            if one.measured[-1, -1]:
                whole = Size(
                    one.chosen.name, one.a, one.b, one.sites_a[-1], one.sites_b[-1], one.n, 1,
                    float(one.value[-1, -1]), float("nan"), float(one.null_mean[-1, -1]),
                    float(one.ci_low[-1, -1]), float(one.ci_high[-1, -1]),
                )  # fmt: skip
                focus = spaces.items.focus if one.chosen.local else None
                out += score_against_n(one.chosen, x, y, whole, focus, config.seed)
            advance(done, len(own))
    return out


def _nothing(failures: list[Failure]) -> UsageError:
    first = failures[0]
    more = f" (and {len(failures) - 1} more reasons)" if len(failures) > 1 else ""
    message = first.message if first.message.startswith(first.what.split(",")[0]) else f"{first.what}: {first.message}"
    return UsageError(f"nothing could be compared: {message}{more}", hint=first.hint)


def _warnings(config: AlignConfig, metrics: list[Chosen]) -> list[str]:
    out = []
    if config.permutations < USUAL_DRAWS:
        out.append(f"{config.permutations} permutations: p is coarse; {USUAL_DRAWS} are usual.")
    if config.k is not None and all(chosen.k is None for chosen in metrics):
        out.append(f"--k {config.k} changes nothing: none of these metrics has neighbours.")
    if config.focus and not any(chosen.local for chosen in metrics):
        out.append("--focus changes nothing: none of these metrics is local.")
    if len({path.resolve() for path in config.files}) < len(config.files):
        out.append("A file is given twice: at equal sites it agrees with itself, which proves nothing.")
    return out
