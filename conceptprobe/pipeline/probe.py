"""The instrument of question 1 on a user's own arrays: read, check, decide the folds, cross-fit, judge.

A row means what it means in a run: held-out AUROC, its null, interval and verdict come from the same functions. What an
array cannot give is left out and said: there are no words to compare with, and no random twin.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from conceptprobe import registry
from conceptprobe.errors import UsageError
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import Measured, against_chance, at_one_site, bare_finding, guard_of, settle
from conceptprobe.pipeline.arrays import read_arrays
from conceptprobe.pipeline.blocks import Blocks, blocks_of, design_of_blocks
from conceptprobe.pipeline.labels import LabelTable, read_labels
from conceptprobe.pipeline.probe_config import DETAIL_DRAWS, RIDGE, USUAL_DRAWS, ProbeConfig
from conceptprobe.pipeline.progress import Reporter, Silent
from conceptprobe.probes.base import mean_and_scale
from conceptprobe.probes.crossfit import CrossFit, Selection, Space
from conceptprobe.probes.heldout import choice_of, scores_per_draw
from conceptprobe.stats.design import Design
from conceptprobe.stats.relabel import exchange_of, exchanged_labels, freedom
from conceptprobe.stats.seeds import generator
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Probed:
    """What came of it.

    findings: the headline first; curve: each site alone, as flat records; null: the headline's draws; directions: kind
    -> unit vector in the space of the raw features of `site`, + means the concept.
    """

    findings: list[Finding]
    design: Design
    site: str
    curve: list[dict[str, Any]]
    null: Float[np.ndarray, " draws"]
    directions: Mapping[str, Float[np.ndarray, " d"]]
    warnings: list[str] = field(default_factory=list)


def probe(config: ProbeConfig, reporter: Reporter | None = None) -> tuple[Probed, Blocks, LabelTable]:
    """Everything from files: read and check, decide the blocks, measure. Raises a ConceptprobeError for any mistake."""
    config = config.checked()
    columns = tuple(dict.fromkeys([*config.groups, *(name for name in (config.pair, config.item) if name)]))
    table = read_labels(config.labels, config.label, columns, config.positive)
    spaces = read_arrays(config.x, config.sites)
    _same_length(config, spaces, table)
    blocks = blocks_of(
        table.label,
        {name: table.columns[name] for name in config.groups if name not in (config.pair, config.item)},
        pair={config.pair: table.columns[config.pair]} if config.pair else None,
        item={config.item: table.columns[config.item]} if config.item else None,
        crossed=config.crossed,
    )
    design = design_of_blocks(table.label, blocks, generator(config.seed, "probe", "folds"))
    labels = np.vstack(
        [design.label, exchanged_labels(design, config.permutations, generator(config.seed, "probe", "null"))]
    )
    split = f"{' + '.join(blocks.unit_columns) or 'rows'}{f' x {blocks.crossed}' if blocks.crossed else ''} held out"
    probed = measure(spaces, design, labels, config, split, reporter or Silent())
    return probed, blocks, table


def measure(
    spaces: Mapping[str, Float[np.ndarray, "n d"]],
    design: Design,
    labels: Int[np.ndarray, "draws items"],
    config: ProbeConfig,
    split: str,
    reporter: Reporter | None = None,
) -> Probed:
    """All rows on one design. `labels`: row 0 the observed ones, the others draws of the exchange.

    Ridge chooses the site on inner folds, in every draw anew, and other kinds are read at the sites it chose there.
    """
    reporter = reporter or Silent()
    warnings = _warnings(spaces, design, config)
    spaces = _varying(spaces, warnings)
    _fits_into_memory(spaces, design, len(labels))
    sites = tuple(spaces)
    crossfit = CrossFit(design, labels)
    with threadpool_limits(1, user_api="blas"):
        with reporter.task("ridge at every site, with its null") as advance:
            inner = 0 if len(sites) == 1 else None
            fits = two_at_a_time(lambda site: crossfit.add(site, Space(np.asarray(spaces[site])), inner=inner), sites)
            for done, _ in enumerate(fits, start=1):
                advance(done, len(sites))
        selection = crossfit.select(sites) if len(sites) > 1 else crossfit.alone(sites[0])
        choice = choice_of(crossfit, sites)
        rows: dict[str, tuple[Measured, Float[np.ndarray, " draws"], str]] = {}
        ridge = _against(selection.auroc, design)
        for kind in config.kinds:
            whole = kind in (RIDGE, config.kinds[0])
            draws = len(labels) if whole else min(len(labels), 1 + DETAIL_DRAWS)
            with reporter.task(f"{kind}, {draws - 1} draws"):
                rows[kind] = _of_kind(kind, spaces, selection, choice, design, labels[:draws], ridge)
        if RIDGE not in rows:
            rows[RIDGE] = _of_kind(RIDGE, spaces, selection, choice, design, labels, ridge)
        directions = _directions(list(rows), np.asarray(spaces[selection.most_chosen]), design)
    headline, *details = [
        _finding(config, split, kind, selection.most_chosen, measured, note)
        for kind, (measured, _, note) in rows.items()
    ]
    measured, null, _ = rows[config.kinds[0]]
    judged = settle([replace(headline, headline=True)], [guard_of(measured, config.smallest_effect)], [measured.c])
    curve = [{"site": site, **at_one_site(crossfit.alone(site).auroc, design)} for site in sites]
    return Probed([*judged, *details], design, selection.most_chosen, curve, null[1:], directions, warnings)


def _of_kind(
    kind: str,
    spaces: Mapping[str, Float[np.ndarray, "n d"]],
    selection: Selection,
    choice: Int[np.ndarray, "folds template_folds draws"],
    design: Design,
    labels: Int[np.ndarray, "draws items"],
    ridge: Measured,
) -> tuple[Measured, Float[np.ndarray, " draws"], str]:
    """The row of one kind, its AUROC per draw, and its note."""
    times, of = selection.times_chosen
    cells = f"{selection.most_chosen} in {times} of {of} cells"
    few = len(labels) < len(selection.auroc)
    if kind == RIDGE:
        auroc, note = selection.auroc, [f"Site chosen on inner folds: {cells}."]
    else:
        scores = scores_per_draw(registry.get("probe", kind)(), spaces, choice, design, labels)
        if not np.isfinite(scores).all():
            raise UsageError(
                f"probe '{kind}' gives scores that are not numbers on these features",
                hint="scale the features to about 1, or leave this kind out",
            )
        auroc, note = (
            np.asarray(design.auroc(scores, labels)),
            [f"At the sites that ridge chose on inner folds: {cells}."],
        )
    note = note if len(spaces) > 1 else []
    if few:
        note.append(f"{len(labels) - 1} draws; the width of the interval follows ridge's null.")
    if not registry.entries("probe")[kind].about.get("linear", True):
        note.append("Not linear: what it reads need not be a direction.")
    return _against(auroc, design, ridge.c if few else None), auroc, " ".join(note)


def _against(auroc: Float[np.ndarray, " draws"], design: Design, c: float | None = None) -> Measured:
    """Against chance or, where labels move inside units only, against what the units alone give away."""
    measured = against_chance(auroc, design, c)
    null = auroc[1:]
    above = measured.null_mean - 0.5
    if exchange_of(design) != "within" or above <= 3.0 * float(null.std()) / math.sqrt(len(null)):
        return measured
    return replace(
        measured,
        reference=measured.null_mean,
        reference_kind="what the units alone give away (mean of the null)",
        ci_low=measured.ci_low - above,
        ci_high=measured.ci_high - above,
    )


def _directions(
    kinds: Sequence[str], x: Float[np.ndarray, "n d"], design: Design
) -> dict[str, Float[np.ndarray, " d"]]:
    """Each linear kind fitted on all rows; kinds without a direction are left out."""
    fitted = {kind: registry.get("probe", kind)().fit(x, design.label[design.item]) for kind in kinds}
    return {kind: np.asarray(one.direction_) for kind, one in fitted.items() if hasattr(one, "direction_")}


def _finding(config: ProbeConfig, split: str, kind: str, site: str, measured: Measured, note: str) -> Finding:
    row = bare_finding(
        measured,
        model=config.x.name,
        kind="array",
        modality="",
        concept=config.labels.stem,
        question="encoded",
        site=site,
        metric=f"auroc ({kind})",
        split=split,
        smallest_effect=config.smallest_effect,
        note=note,
    )
    return replace(row, run_id="probe")


def _same_length(config: ProbeConfig, spaces: Mapping[str, np.ndarray], table: LabelTable) -> None:
    n = len(next(iter(spaces.values())))
    if n == len(table):
        return
    hint = "row i of X and row i of the table are the same stimulus"
    if len(spaces) == len(table):
        hint = f"there are {len(spaces):,} sites: X is [n sites d], so its first two axes may have to be swapped"
    elif any(x.shape[1] == len(table) for x in spaces.values()):
        hint = "its columns are as many: X is [n d], one stimulus a row; transpose it"
    raise UsageError(f"{config.x} has {n:,} rows, {config.labels} has {len(table):,}", hint=hint)


def _warnings(spaces: Mapping[str, np.ndarray], design: Design, config: ProbeConfig) -> list[str]:
    """What is no mistake, and should be known."""
    out = []
    wide = {site: x.shape[1] for site, x in spaces.items() if x.shape[1] > design.n_items}
    if wide:
        d = max(wide.values())
        out.append(
            f"{d:,} features for {design.n_items:,} items: training items can always be told apart, so only what is held "
            "out counts, and single coefficients of the direction say little."
        )
    if config.permutations < USUAL_DRAWS:
        out.append(
            f"{config.permutations} draws: p is coarse, and so is the width of the interval; {USUAL_DRAWS} are usual."
        )
    moves = freedom(design)
    if moves.free < 1.0:
        out.append(
            f"{1 - moves.free:.0%} of the items keep their label in every draw, because no unit of the other class in their "
            "fold has as many items: p is larger than it had to be."
        )
    return out


def _varying(spaces: Mapping[str, np.ndarray], warnings: list[str]) -> dict[str, np.ndarray]:
    """Sites with a feature that varies; the others can be read by nothing."""
    silent = {site: int((mean_and_scale(np.asarray(x))[1] == 0.0).sum()) for site, x in spaces.items()}
    kept = {site: x for site, x in spaces.items() if silent[site] < x.shape[1]}
    if not kept:
        raise UsageError(
            "every feature is constant: all rows are the same",
            hint="the same token of the same text, perhaps: read where stimuli differ",
        )
    if lost := [site for site in spaces if site not in kept]:
        warnings.append(f"All rows are the same at {', '.join(lost)}: left out.")
    if some := {site: silent[site] for site in kept if silent[site]}:
        told = ", ".join(f"{count:,} of {spaces[site].shape[1]:,} at {site}" for site, count in some.items())
        warnings.append(f"Constant features are not used: {told}.")
    return kept


def _fits_into_memory(spaces: Mapping[str, np.ndarray], design: Design, draws: int) -> None:
    n = len(design.item)
    need = 8 * (4 * n * n + 2 * len(spaces) * design.template_folds * draws * design.n_items)
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if need > 0.7 * have:
        raise UsageError(
            f"{n:,} rows at {len(spaces)} sites with {draws - 1:,} draws need about {need / 1e9:.0f} GB; this machine has "
            f"{have / 1e9:.0f} GB",
            hint="average rows to items beforehand, take fewer --site, or draw a subset of the rows",
        )
