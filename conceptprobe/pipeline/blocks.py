"""From the columns of a user's table to a design: what is averaged, what is held out whole, and what is crossed.

Rows that share a level of a group, directly or through other rows, are one unit, and units are held out whole. One
group may be crossed with the others instead, as templates are with terms: its levels go to folds of their own, and a
test row then shares neither its unit nor its level with any training row. Were a crossed group put into the units, it
would tie everything to everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import UsageError
from conceptprobe.stats.design import Design, codes, make_design
from conceptprobe.stats.folds import stratified_folds
from conceptprobe.stats.relabel import exchange_of, freedom
from conceptprobe.stimuli.units import components

if TYPE_CHECKING:
    from jaxtyping import Int

FOLDS, CROSSED_FOLDS = 5, 3
NONE = "none"
"""`--crossed none`: every group goes into the units."""
TEMPLATE = "template"
"""Where two groups could be crossed, one of this name is."""
_JOIN = "\x1f"
_LEAST_ROWS = 10
_LEAST_LABELLINGS = 20
"""With fewer labellings no p can fall below 0.05."""

Column = Sequence[str]


@dataclass(frozen=True)
class Blocks:
    """Names per row, as `make_design` takes them, and what was decided, in sentences.

    crossed: the group whose levels are held out in folds of their own, or empty; unit_columns: the others.
    """

    item: Column
    unit: Column
    template: Column | None
    crossed: str
    unit_columns: tuple[str, ...]
    said: tuple[str, ...]


def blocks_of(
    label: Int[np.ndarray, " n"],
    groups: Mapping[str, Column],
    *,
    pair: Mapping[str, Column] | None = None,
    item: Mapping[str, Column] | None = None,
    crossed: str = "",
) -> Blocks:
    """Decide the blocks of n rows. `pair` and `item` hold one named column each, or nothing.

    A group is crossed where its levels meet many units of the others and hold both classes, `crossed` may name it or
    say `none`. Never does the order of the groups matter. Raises UsageError for groups that leave nothing to hold out,
    items of two labels, and two groups that could both be the crossed one.
    """
    if len(label) < _LEAST_ROWS:
        raise UsageError(
            f"{len(label)} rows are too few for any statement", hint=f"at least {_LEAST_ROWS}; a verdict needs more"
        )
    links = {**(pair or {}), **(item or {})}
    for name, column in {**groups, **(pair or {})}.items():
        if len(set(column)) == 1:
            raise UsageError(
                f"group '{name}' contains everything: every row is '{column[0]}'",
                hint="a group is held out whole, so it needs several levels: leave this one out",
            )
    across = _crossed(label, groups, links, item, crossed)
    inside = {**{name: column for name, column in groups.items() if name != across}, **links}
    unit = _linked(inside, len(label))
    _enough(label, unit, inside, across)
    items, how = _items(label, unit, inside, item, across)
    said = [_units_said(inside, across), how] if inside else ["Every row is a unit of its own: no group was named."]
    if across:
        levels = len(set(groups[across]))
        said.insert(
            1, f"'{across}' is crossed with them: its {levels:,} levels go to {CROSSED_FOLDS} folds of their own."
        )
    return Blocks(items, unit, groups[across] if across else None, across, tuple(inside), tuple(said))


def design_of_blocks(label: Int[np.ndarray, " n"], blocks: Blocks, rng: np.random.Generator) -> Design:
    """5 folds of units, times 3 of the crossed group where there is one.

    Where every unit holds the classes in one proportion, items are compared over all folds; elsewhere within a fold
    only, and folds are stratified by class. Raises UsageError where a cell is left without rows to train or test on, or
    where the labels cannot be exchanged.
    """
    design = make_design(
        item=blocks.item,
        positive=[int(y > 0) for y in label],
        unit=blocks.unit,
        template=blocks.template,
        folds=FOLDS,
        template_folds=CROSSED_FOLDS if blocks.template is not None else 1,
        pooled=True,
        rng=rng,
    )
    if not _one_proportion(design):
        fold = stratified_folds(design.unit, design.label, FOLDS, rng)
        design = replace(design, fold=fold, pooled=False)
    _every_cell_works(design, blocks)
    moves = freedom(design)
    if moves.labellings < np.log10(_LEAST_LABELLINGS) or moves.free < 0.5:
        raise UsageError(
            f"labels cannot be exchanged: {1 - moves.free:.0%} of the items keep theirs in every draw, because no unit "
            "of the other class in their fold has as many items",
            hint="--item COLUMN averages the rows of a unit to one, so that units are alike",
        )
    return design


def exchange_said(design: Design) -> str:
    """The null in one sentence."""
    return {
        "flip": "Null: the labels of a whole unit are flipped together.",
        "between": "Null: every unit holds one class, so labels are exchanged between units of a fold.",
        "within": "Null: labels are permuted inside each unit that holds both classes.",
    }[exchange_of(design)]


def _linked(columns: Mapping[str, Column], n: int) -> list[str]:
    """Unit of each row: rows that share a level of any column are linked."""
    keys: list[list[tuple[str, str]]] = [[(name, column[i]) for name, column in columns.items()] for i in range(n)]
    return [f"u{number}" for number in components(keys)]


def _crossed(
    label: np.ndarray,
    groups: Mapping[str, Column],
    links: Mapping[str, Column],
    item: Mapping[str, Column] | None,
    wanted: str,
) -> str:
    if wanted == NONE:
        return ""
    if wanted:
        if wanted not in groups:
            raise UsageError(
                f"--crossed {wanted}: that is not among the groups",
                hint=f"one of {', '.join(groups) or 'none'}, or none",
            )
        if len(groups) + len(links) < 2:
            raise UsageError(
                f"--crossed {wanted}: there is no other group to cross it with",
                hint="name the group of the units, too: --group term",
            )
        found = [wanted]
    else:
        found = sorted(name for name in groups if _could_cross(name, label, groups, links))
        if len(found) > 1 and TEMPLATE in found:
            found = [TEMPLATE]
        if len(found) > 1 and item:
            (inside,) = item.values()
            found = [name for name in found if _varies(groups[name], inside)] or found
    if len(found) > 1:
        raise UsageError(
            f"groups {' and '.join(repr(name) for name in found)} are crossed, and each holds both classes at every level: "
            "it cannot be seen which of them the labels belong to",
            hint=f"--crossed {found[0]} averages over it and holds it out in folds of its own; --crossed none links both",
        )
    if found and len(set(groups[found[0]])) < CROSSED_FOLDS:
        raise UsageError(
            f"group '{found[0]}' is crossed with the others and has {len(set(groups[found[0]]))} levels; "
            f"{CROSSED_FOLDS} are needed to hold some out",
            hint="leave this group out",
        )
    return found[0] if found else ""


def _could_cross(name: str, label: np.ndarray, groups: Mapping[str, Column], links: Mapping[str, Column]) -> bool:
    """Half of the levels or more meet several units of the others, half of the units meet several levels, and most rows
    lie in levels of both classes: a group that the label is a property of is never averaged over."""
    others = {**{other: column for other, column in groups.items() if other != name}, **links}
    if not others:
        return False
    level, unit = codes(groups[name]), codes(_linked(others, len(label)))
    met = np.unique(np.stack([level, unit]), axis=1)
    several = min(float(np.median(np.bincount(met[i]))) for i in range(2)) >= 2
    both = np.bincount(level, label > 0) * np.bincount(level, label < 0) > 0
    return several and float(np.mean(both[level])) > 0.5


def _varies(column: Column, inside: Column) -> bool:
    return len(set(zip(column, inside, strict=True))) > len(set(inside))


def _enough(label: np.ndarray, unit: Column, inside: Mapping[str, Column], across: str) -> None:
    """Five units of each class: one per fold."""
    holds = [len({u for u, y in zip(unit, label, strict=True) if y == sign}) for sign in (1, -1)]
    if min(holds) >= FOLDS:
        return
    names = [repr(name) for name in inside]
    what = f"linked by {', '.join(names)}" if len(names) > 1 else f"by {names[0]}" if names else "as they are"
    whole = len(set(unit))
    message = f"{what}, the rows form {whole:,} unit{'s' * (whole > 1)}: {holds[0]} with the concept, {holds[1]} with controls"
    raise UsageError(
        f"{message}; {FOLDS} of each are needed to make folds", hint=_coarse_hint(inside, whole, len(label), across)
    )


def _coarse_hint(inside: Mapping[str, Column], units: int, n: int, across: str) -> str:
    if len(inside) < 2:
        return "a group this coarse cannot be held out: name a finer one, or gather more groups"
    without = {
        name: len(set(_linked({k: v for k, v in inside.items() if k != name}, n))) for name in inside
    }  # what each of them ties together
    worst = max(without, key=lambda name: without[name])
    if without[worst] <= units:
        return "name finer groups, or gather more of them"
    hint = f"without '{worst}' there would be {without[worst]:,} units"
    return hint if across else f"{hint}; --crossed {worst} holds it out in folds of its own instead"


def _items(
    label: np.ndarray, unit: Column, inside: Mapping[str, Column], item: Mapping[str, Column] | None, across: str
) -> tuple[list[str], str]:
    n = len(label)
    if item:
        ((name, column),) = item.items()
        signs: dict[str, int] = {}
        for value, y in zip(column, label, strict=True):
            if signs.setdefault(value, int(y)) != y:
                raise UsageError(
                    f"item '{value}' of column '{name}' has both labels",
                    hint="rows are averaged to items: one label each",
                )
        return list(column), f"Rows are averaged to the items of '{name}'."
    if across:
        keys = [_JOIN.join([*(column[i] for column in inside.values()), str(label[i])]) for i in range(n)]
        return keys, f"An item is the mean of its rows over the levels of '{across}'."
    one_class = len(set(zip(unit, label.tolist(), strict=True))) == len(set(unit))
    if one_class and len(set(unit)) < n:
        return list(unit), "Every unit holds one class, so its rows are averaged to one item."
    return [f"row{i}" for i in range(n)], "Every row is an item."


def _units_said(inside: Mapping[str, Column], across: str) -> str:
    names = [repr(name) for name in inside]
    if len(names) == 1:
        return f"Units are the levels of {names[0]}, held out whole in {FOLDS} folds."
    joined = f"{', '.join(names[:-1])} or {names[-1]}"
    return f"Units are rows linked by {joined}, held out whole in {FOLDS} folds."


def _one_proportion(design: Design) -> bool:
    positive = np.bincount(design.unit, design.label > 0)
    every = np.bincount(design.unit)
    # Over all folds only where whole units share the classes alike: scores are centred per fold.
    return bool(np.all(positive * every.sum() == every * positive.sum()))


def _every_cell_works(design: Design, blocks: Blocks) -> None:
    """Something to test in each cell, and both classes to train on, outside it and inside its inner cells."""
    inner = design.template_folds > 1
    for cell in design.cells:
        trained = [design.train_rows(cell)]
        trained += [design.train_rows(cell, other) for other in design.inner_cells(cell)] if inner else []
        classes = min(len(set(design.label[design.item[rows]].tolist())) for rows in trained)
        if not design.test_rows(cell).any() or classes < 2:
            raise UsageError(
                f"'{blocks.crossed or 'the units'}' and {', '.join(map(repr, blocks.unit_columns)) or 'rows'} meet too seldom: "
                "some fold has nothing to train or test on",
                hint=f"--crossed {NONE} puts all groups into the units" if blocks.crossed else "gather more rows",
            )
