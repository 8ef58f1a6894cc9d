"""One run, stage by stage: plan, activations, evidence, picture, report.

Every stage leaves its result in the content-addressed cache or, atomically, in the run folder. A killed run resumes
because whatever it had finished is found there; nothing else has to be remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from conceptprobe import registry
from conceptprobe.activations import LoadedModels, Store, cell_key, extract, key_of, texts_cut
from conceptprobe.errors import ConceptprobeError, UsageError
from conceptprobe.evidence.context import Answer, RunContext, Settings
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.needs import OPTIONAL
from conceptprobe.files import write_bytes
from conceptprobe.models.base import ModelSpec, Pooling
from conceptprobe.models.options import DEFAULT
from conceptprobe.pipeline import prereg
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.defaults import NOT_ASKED
from conceptprobe.pipeline.frozen import PlanFile
from conceptprobe.pipeline.manifest import new_manifest, new_run_id, now, read_manifest, resumable, write_manifest
from conceptprobe.pipeline.outputs import write_outputs
from conceptprobe.pipeline.plan import Cell, ModelPlan, Plan, make_plan
from conceptprobe.pipeline.progress import Advance, Reporter, Silent
from conceptprobe.pipeline.projection import projecting
from conceptprobe.pipeline.results import Run, load_run


@dataclass(frozen=True)
class Failure:
    """A model that could not be run, and why; the rest of the run goes on without it."""

    model: str
    message: str


def run(
    config: RunConfig,
    *,
    typed: Sequence[str] = (),
    store: Store | None = None,
    reporter: Reporter | None = None,
    frozen: PlanFile | None = None,
) -> Run:
    """Do everything the configuration asks, and return the finished run.

    With `frozen`, a plan that was frozen beforehand, the run must be the one it describes: UsageError, with every
    difference on a line, where it is not.

    Raises ConceptFileError, MissingError or UsageError before anything is written when the plan cannot be made; a
    model that fails later is reported in `failures`, and only when none is left is its error raised.
    """
    reporter = reporter or Silent()
    store = store or Store(warn=reporter.message)
    if frozen:
        prereg.refuse_plugins(frozen, config)
    for plugin in config.plugins:
        registry.load_plugin_file(plugin)
    plan = make_plan(config, download=not config.offline, reporter=reporter)
    if frozen:
        prereg.check(frozen, plan)
    _check_here(plan, store)
    for line in plan.left_out:
        reporter.message(line)
    folder, manifest = _open(plan, typed, reporter, frozen)
    log = Log(folder, manifest)
    try:
        with log.stage("activations"):
            extracted = _extract_all(plan, store, reporter, log)
        models = extracted.models
        context = _context(plan, models, store, manifest["run_id"], extracted.lacks)
        answers = {}
        with projecting(context, plan, store) as finish:
            for question in config.questions:
                with log.stage(question), reporter.task(_TITLES.get(question, question)) as advance:
                    advance(0, 1)
                    answers[question] = _ask(question, replace(context, progress=advance), plan, models, store)
            with log.stage("projection"):
                layouts = finish(reporter)
        with log.stage("report"), reporter.task("figures") as advance:
            advance(0, 1)
            findings = [replace(f, run_id=manifest["run_id"]) for a in answers.values() for f in a.findings]
            write_outputs(folder, plan.concept.name, findings, answers, layouts, plan.sets)
            advance(1, 1)
        manifest["not_asked"] = {q: r for q, r in NOT_ASKED.items()} | {
            q: a.not_asked for q, a in answers.items() if a.not_asked
        }
        manifest["failures"] = [asdict(f) for f in extracted.failures]
        log.finish("done")
    except KeyboardInterrupt:
        log.finish("interrupted")
        raise
    except BaseException:
        log.finish("failed")
        raise
    return load_run(folder)


def _check_here(plan: Plan, store: Store) -> None:
    """MissingError where a device, a kernel or a package that was asked for is not here, and a model is to be loaded.

    Said once and before anything is written, rather than of every model in turn. Defaults need nothing, so a run that
    finds everything in the cache goes on without torch.
    """
    options = plan.config.options
    asked = options.quantization or options.device_map or (options.device, options.attention) != ("auto", "auto")
    if asked and any(hasattr(cell.spec, "options") and cell.missing(store) for cell in plan.cells):
        from conceptprobe.models.loading import check_here

        check_here(options)


_TITLES = {
    "encoded": "probes",
    "beyond_words": "senses and transfer",
    "shared": "alignment",
    "crossmodal": "pictures and words",
}


class Log:
    """manifest.json and log.jsonl, rewritten whole as the run goes on."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        write_manifest(folder, manifest)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; its end is in the manifest as soon as it is reached."""
        self.event("start", stage=name)
        start = perf_counter()
        yield
        self.manifest["stages"][name] = {"seconds": round(perf_counter() - start, 3), "finished": now()}
        self.event("end", stage=name)
        write_manifest(self.folder, self.manifest)

    def event(self, what: str, **about: Any) -> None:
        """One line of log.jsonl."""
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now(), "event": what, **about}, ensure_ascii=False) + "\n")

    def finish(self, status: str) -> None:
        """The last word on how the run ended."""
        from conceptprobe.kernels.attention import chosen

        self.manifest.update(status=status, finished=now(), kernels=chosen())
        self.event(status)
        write_manifest(self.folder, self.manifest)


def _open(plan: Plan, typed: Sequence[str], reporter: Reporter, frozen: PlanFile | None) -> tuple[Path, dict[str, Any]]:
    """The run folder: the one an interrupted run of the same plan left, or a new one."""
    home = plan.config.results / plan.concept.id
    old = resumable(home, plan.plan_hash)
    run_id = read_manifest(old)["run_id"] if old else new_run_id(plan.plan_hash)
    if old:
        reporter.message(f"resuming the unfinished run {run_id}")
    folder = old or _fresh(home, run_id)
    if frozen:
        write_bytes(folder / "plan.json", frozen.content)
    return folder, new_manifest(plan, folder.name, typed, prereg.record(frozen) if frozen else None)


def _fresh(home: Path, run_id: str) -> Path:
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        try:
            (home / f"{run_id}{suffix}").mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(
                f"cannot write results in {home}: {error.strerror or error}", hint="--results names another folder"
            ) from error
        return home / f"{run_id}{suffix}"
    raise UsageError(f"a thousand runs started in one second in {home}", hint="--results names another folder")


@dataclass(frozen=True)
class _Extracted:
    """What is in the cache now: the models that could be run, those that could not, and the optional sets that a
    model or a twin of it cannot read."""

    models: tuple[ModelPlan, ...]
    failures: list[Failure]
    lacks: dict[tuple[str, str], frozenset[str]]


def _extract_all(plan: Plan, store: Store, reporter: Reporter, log: Log) -> _Extracted:
    """Fill the cache; a model that fails is left out with its twins."""
    kept, failures = [], []
    lacks: dict[tuple[str, str], frozenset[str]] = {}
    error: ConceptprobeError | None = None
    for model in plan.read:
        try:
            unread: dict[str, str] = {}
            for spec in (model.spec, *model.twins):
                cells = [c for c in plan.cells if c.spec is spec and c.stimuli.name not in unread]
                unread |= _extract_model(spec.info.name, cells, store, reporter)
            kept.append(model)
            lacks[_tower(model.spec)] = frozenset(unread)
            log.manifest["left_out"] += [
                f"{model.spec.info.name} reads no {name}: {why}" for name, why in unread.items()
            ]
            for line in _cut_lines(model.spec, [c for c in plan.cells if c.spec is model.spec], store, unread):
                log.manifest["left_out"].append(line)
                reporter.message(line)
        except ConceptprobeError as failed:
            error = failed
            failures.append(Failure(model.spec.info.name, failed.message))
            log.event("failure", model=model.spec.info.name, message=failed.message)
            reporter.message(f"{model.spec.info.name} failed: {failed.message}")
    models = tuple(model for model in kept if model is not plan.ruler)
    without_ruler = plan.ruler is not None and plan.ruler not in kept
    if error is not None and (without_ruler or not models):
        raise error
    return _Extracted(models, failures, lacks)


def _extract_model(name: str, cells: list[Cell], store: Store, reporter: Reporter) -> dict[str, str]:
    """The optional sets that the model cannot read, and why; that, too, is remembered in the cache."""
    known = [(cell.stimuli.name, store.get_artefact(_unread_key(cell))) for cell in cells]
    unread = {set_name: str(why[0]) for set_name, why in known if why is not None}
    todo = [cell for cell in cells if cell.stimuli.name not in unread and cell.missing(store)]
    if not todo:
        return unread
    total = sum(len(cell.stimuli) for cell in todo)
    holder = LoadedModels()
    done = 0
    with reporter.task(f"activations of {name}") as advance:
        advance(0, total)
        for cell in todo:
            if cell.stimuli.name in unread:
                continue
            try:
                extract(
                    cell.spec,
                    cell.stimuli,
                    cell.sites,
                    cell.poolings,
                    store=store,
                    models=holder,
                    progress=_after(done, total, advance),
                )
            except UsageError as error:
                if cell.stimuli.name not in OPTIONAL:
                    raise
                unread[cell.stimuli.name] = error.message
                store.put_artefact(_unread_key(cell), error.message, about={"model": name, "set": cell.stimuli.name})
                reporter.message(f"{name} reads no {cell.stimuli.name}: {error.message}")
            done += len(cell.stimuli)
    return unread


def _cut_lines(spec: ModelSpec, cells: list[Cell], store: Store, unread: Mapping[str, str]) -> Iterator[str]:
    """A line for every set of which the model read texts that were cut to its length. Its twins read the same."""
    side = getattr(spec, "options", DEFAULT).truncate
    if not side:
        return
    for name, cell in {c.stimuli.name: c for c in cells if c.stimuli.name not in unread}.items():
        cut = texts_cut(spec, cell.stimuli, cell.sites[0], cell.poolings[0], store=store)
        if cut:
            yield f"{spec.info.name} read {cut} of {len(cell.stimuli)} {name} cut at the {side} to the length it takes"


def _unread_key(cell: Cell) -> str:
    key = cell_key(cell.spec, cell.stimuli, cell.sites[0], cell.poolings[0])
    return key_of({"stage": "unread", "cell": key})


def _after(done: int, total: int, advance: Advance) -> Advance:
    """Progress of one set as part of all sets of a model."""
    return lambda n, _: advance(done + n, total)


def _context(
    plan: Plan,
    models: tuple[ModelPlan, ...],
    store: Store,
    run_id: str,
    lacks: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType({}),
) -> RunContext:
    read_from = (*models, *((plan.ruler,) if plan.ruler else ()))
    specs = {_tower(s): s for model in read_from for s in (model.spec, *model.twins)}

    def read(model: str, set_name: str, site: str, pooling: Pooling) -> np.ndarray:
        stimuli = plan.sets[set_name]
        spec = specs[model, stimuli.stimuli[0].modality]
        return extract(spec, stimuli, (site,), (pooling,), store=store)[pooling][site]

    splits = plan.concept.splits
    return RunContext(
        run_id=run_id,
        concept=plan.concept.id,
        smallest_effect=plan.concept.smallest_effect.model_dump(),
        splits=(splits.term_folds, splits.template_folds),
        sets=plan.sets,
        subjects=tuple(m.subject(lacks.get(_tower(m.spec), frozenset())) for m in models),
        read=read,
        settings=Settings(permutations=plan.config.permutations, seed=plan.config.seed),
        judgements=plan.judgements,
    )


def _tower(spec: ModelSpec) -> tuple[str, str]:
    """The towers of one model share its name: the modality says which of them is meant."""
    return spec.info.name, spec.info.modalities[0]


def _ask(question: str, context: RunContext, plan: Plan, models: tuple[ModelPlan, ...], store: Store) -> Answer:
    """The answer from the cache where the same question was asked of the same numbers by the same code."""
    key = key_of({"stage": question, "plan": plan.plan_hash, "models": [m.spec.info.sha256 for m in models]})
    known = store.get_artefact(key)
    if known is not None:
        return _answer_from(known[0])
    # Thousands of small products: BLAS threads would spend their time waiting for each other.
    with threadpool_limits(1, user_api="blas"):
        answer: Answer = registry.get("question", question)(context)
    value = {
        "findings": [asdict(f) for f in answer.findings],
        "series": answer.series,
        "not_asked": answer.not_asked,
    }
    store.put_artefact(key, value, about={"stage": question, "concept": context.concept})
    return _answer_from(value)


def _answer_from(value: dict[str, Any]) -> Answer:
    return Answer([Finding(**f) for f in value["findings"]], value["series"], value["not_asked"])
