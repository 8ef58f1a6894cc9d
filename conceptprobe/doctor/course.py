"""The course of a proof: which copies of a model are loaded, what is asked of each, and what errors are allowed.

Copies come one after the other, never two at once: as this project loads the model in float32, the reference in float32,
the reference in float64, this project's in eager attention, and at last what was asked for, where that is another dtype.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conceptprobe.doctor import checks_text
from conceptprobe.doctor.checks import of_passes
from conceptprobe.doctor.memory import lacking
from conceptprobe.doctor.plain import Pass, PlainModel, Prepared, Rows, pooled_rows
from conceptprobe.doctor.proof import QUESTIONS, Check, SiteError
from conceptprobe.doctor.readers import Reading
from conceptprobe.doctor.rows import alone, site_errors, together, worst
from conceptprobe.errors import ConceptprobeError, CorruptError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.families.base import eager_fails
from conceptprobe.models.loading import device_of

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus

LIMIT: Mapping[str, float] = {"cpu": 1e-5}
"""What float32 rows may differ by, relative to the scale of their site, by kind of device ..."""
ELSEWHERE = 1e-4
"""... and on accelerators, which sum in other orders."""
ROUNDING = 10.0
"""A difference is rounding, too, where it is no more than so many times what float32 itself lies off float64 ..."""
MOST = 1e-3
"""... and no more than this: beyond it the numbers of float32 mean nothing."""
COARSE: Mapping[str, float] = {"float64": 1e-3, "float16": 0.03, "bfloat16": 0.15, "8bit": 0.3, "4bit": 0.6}
"""What rows of another dtype may be off by, at the worst site of the worst stimulus: beyond it they are another model's."""
FEWEST = 3
"""Stimuli a proof needs."""
SPANS = ("concept_span", "context")


class Course:
    """One proof in the making; `run` fills it. A copy of the model lives no longer than the method that loads it."""

    def __init__(self, spec: Any, reading: Reading, stimuli: Sequence[Stimulus]) -> None:
        self.spec = spec
        self.reading = reading
        self.stimuli = list(stimuli)
        self.sites: tuple[str, ...] = (*spec.sites, *spec.extra_sites)
        spans = all(s.span is not None for s in stimuli)
        offered = self.reading.poolings or spec.poolings
        self.poolings: tuple[Pooling, ...] = tuple(p for p in offered if spans or p not in SPANS)
        self.device = device_of(spec.options)
        self.kernel = ""
        self._alone_kernel = ""
        """Why it is not read in eager attention beside its own kernel; empty where it is."""
        self.checks: list[Check] = []
        self._row: Any = None
        self._widths: dict[str, int] = {}
        self._from_float64: dict[str, dict[str, float]] = {}

    def run(self) -> None:
        """All stages, as far as the model lets them come."""
        single, batched = self._read_in_float32()
        if self._row is None:
            return
        passes = self._passes("float32")
        self.checks += of_passes([seen for seen, _ in passes], self.spec, self._row)
        if not single or any(c.passed is False for c in self.checks if c.name in ("finite", "sites")):
            return
        plain = pooled_rows(passes, self.sites, self.poolings)
        self._widths = {site: plain[site, self.poolings[0]].shape[1] for site in self.sites}
        exact = self._in_float64(plain)
        limit = self._limit()
        eager = single if self._alone_kernel else self._read_in_eager()
        self._compare("reading", eager, plain, limit)
        for name, rows in batched.items():
            self._compare(name, rows, single, limit)
        if self._alone_kernel:
            self._add("fused", None, self._alone_kernel)
        else:
            self._compare("fused", single, eager, limit)
        if exact:
            self._from_float64["fused"] = self._compare("fused_float64", single, exact, MOST)
        self._as_asked(plain, exact)

    def in_order(self) -> tuple[Check, ...]:
        """The checks that were made, in the order of the questions."""
        return tuple(sorted(self.checks, key=lambda check: list(QUESTIONS).index(check.name)))

    def site_errors(self) -> tuple[SiteError, ...]:
        """Widths, and errors against float64 as far as they were computed."""
        ways = [self._from_float64.get(way, {}) for way in ("eager", "fused", "asked")]
        return tuple(SiteError(site, width, *(way.get(site) for way in ways)) for site, width in self._widths.items())

    def _read_in_float32(self) -> tuple[Rows, dict[str, Rows]]:
        """(rows of single stimuli, {arrangement: rows of batches}), and the checks that need this copy.

        Leaves no row behind, or no rows, where the model cannot be read: a check says why.
        """
        try:
            model: Any = self._like(dtype="float32", quantization="").load()
            self.kernel = str(model.net.config._attn_implementation or "eager")
            if self.kernel == "eager":
                self._alone_kernel = "the model runs in eager attention"
            elif eager_fails(model.row, model.net.config):
                self._alone_kernel = (
                    "transformers' eager attention is wrong for this model: the reference is fused, too"
                )
            if self.reading.tokenizer and not self._tokenizer_fits(model):
                return {}, {}
            self._leave_out(model)
            self._row = self.reading.shower().row_of(self.spec, model)
            return self._rows_of(model)
        except (CorruptError, UsageError) as error:
            # A message about a table or a file is about the model here, not about what the user typed.
            self._add("loads", False, error.message)
        except ConceptprobeError as error:  # numbers that are not finite: the reference says where they begin
            self._add("runs", False, error.message)
        return {}, {}

    def _tokenizer_fits(self, model: Any) -> bool:
        found = checks_text.tokenizer(model, self._show(model), self.stimuli)
        self.checks.append(found)
        return found.passed is not False

    def _show(self, model: Any) -> Any:
        return self.reading.shower()(self.spec, model.row, model.net)

    def _leave_out(self, model: Any) -> None:
        """Stimuli that the model refuses, as too long ones: it needs no proof that they are refused.

        Raises UsageError where too few are left.
        """
        kept: list[Stimulus] = []
        refused: UsageError | None = None
        for stimulus in self.stimuli:
            try:
                together(model, [stimulus], ["embed"], self.poolings)
                kept.append(stimulus)
            except UsageError as error:
                refused = error
        if refused is not None and len(kept) < min(FEWEST, len(self.stimuli)):
            raise refused
        said = f"{len(kept)} of {len(self.stimuli)}"
        self._add("shown", None, said if refused is None else f"{said}; left out: {refused.message}")
        self.stimuli = kept

    def _rows_of(self, model: Any) -> tuple[Rows, dict[str, Rows]]:
        single = alone(model, self.stimuli, self.sites, self.poolings)
        batched = {}
        for name, attributes in self.reading.arrangements_of(self._row).items():
            arranged = _with(model, **attributes)
            batched[name] = together(arranged, self.stimuli, self.sites, self.poolings)
        if self.reading.tokenizer:
            self.checks += checks_text.of_texts(model, self._show(model), self.stimuli)
            self.checks.append(self._position_ids(model, single))
        self._speed(model)
        return single, batched

    def _position_ids(self, model: Any, single: Rows) -> Check:
        """What leaving position ids out would change under padding on the left: nothing to be safe from, but good to know."""
        if not (model.row.positions and model.row.pads):
            return Check("position_ids", None, "the family takes none")
        without = _with(model, row=replace(model.row, positions=False), padding_side="left")
        site, error = worst(site_errors(together(without, self.stimuli, self.sites, self.poolings), single))
        note = f"without them, padding on the left changes {site}"
        if error < MOST:
            note = (
                "without them nothing changes: transformers makes the same ones, or only distances between tokens count"
            )
        return Check("position_ids", None, note, error)

    def _speed(self, model: Any) -> None:
        rates = []
        for read in (alone, together):
            start = time.perf_counter()
            read(model, self.stimuli, ["final"], self.poolings[:1])
            rates.append(len(self.stimuli) / (time.perf_counter() - start))
        self._add("speed", None, f"{rates[0]:.3g} stimuli a second one by one, {rates[1]:.3g} in batches")

    def _read_in_eager(self) -> Rows:
        model = self._like(dtype="float32", quantization="", attention="eager").load()
        return alone(model, self.stimuli, self.sites, self.poolings)

    def _passes(self, dtype: str) -> list[tuple[Pass, Prepared]]:
        model = PlainModel(self.spec, self._row, self.reading.shower(), dtype)
        return [model.run(stimulus) for stimulus in self.stimuli]

    def _in_float64(self, plain: Rows) -> Rows:
        """Rows of the reference in float64; none where it does not fit, or does not run, which a check says."""
        why = lacking(self.spec.info.n_params, 8, self.device)
        if self.device.startswith("mps"):
            why = "the device knows no float64"
        if not why:
            try:
                exact = pooled_rows(self._passes("float64"), self.sites, self.poolings)
            except RuntimeError as error:
                why = f"transformers does not run this family in float64 ({str(error).splitlines()[0]})"
        if why:
            for name in ("eager_float64", "fused_float64"):
                self._add(name, None, f"not computed: float64 {why}")
            return {}
        self._from_float64["eager"] = self._compare("eager_float64", plain, exact, MOST)
        return exact

    def _limit(self) -> float:
        """What float32 rows may differ by on this device, for this model."""
        rounding = max(self._from_float64.get("eager", {"": 0.0}).values())
        return max(LIMIT.get(self.device, ELSEWHERE), min(ROUNDING * rounding, MOST))

    def _as_asked(self, plain: Rows, exact: Rows) -> None:
        """Rows in the dtype, or the quantisation, that was asked for."""
        options = self.spec.options
        kind = options.quantization or options.dtype
        if kind == "float32":
            self._add("dtype", None, "float32 was asked for")
            return
        try:
            rows = alone(self.spec.load(), self.stimuli, self.sites, self.poolings)
        except ConceptprobeError as error:
            self._add("dtype", False, error.message)
            return
        self._compare("dtype", rows, plain, COARSE[kind])
        if exact:
            self._from_float64["asked"] = site_errors(rows, exact)

    def _compare(self, name: str, rows: Rows, reference: Rows, limit: float) -> dict[str, float]:
        """{site: error}, and a check that the largest is within the limit."""
        errors = site_errors(rows, reference)
        site, error = worst(errors)
        self.checks.append(Check(name, error <= limit, f"largest at {site}", error, limit))
        return errors

    def _add(self, name: str, passed: bool | None, note: str) -> None:
        self.checks.append(Check(name, passed, note))

    def _like(self, **options: str) -> Any:
        """The same model loaded otherwise."""
        return replace(self.spec, options=replace(self.spec.options, **options))


def _with(model: Any, **attributes: Any) -> Any:
    """The same loaded model with other attributes; weights and hooks are shared."""
    other = copy.copy(model)
    for name, value in attributes.items():
        setattr(other, name, value)
    return other
