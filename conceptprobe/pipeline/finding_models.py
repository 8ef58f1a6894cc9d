"""The models of a run, found by their names: all that is missing is said at once, and before anything is downloaded."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.files import size
from conceptprobe.models import resolve, towers
from conceptprobe.models.base import ModelSpec
from conceptprobe.models.hub import FETCH_HINT, NotCachedError, Offer, UnreachableError, offer, without_bars
from conceptprobe.models.resolve import takes_revision
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.progress import Reporter, Silent


@dataclass(frozen=True)
class Fetched:
    """A model that is here now: where, how large, and whether it had to be downloaded."""

    model: str
    source: str
    revision: str
    folder: str
    """Empty where a model is no folder: word vectors."""
    bytes_: int
    downloaded: bool


def find_models(
    config: RunConfig,
    *,
    also: Iterable[str] = (),
    download: bool = False,
    reporter: Reporter | None = None,
    bars: bool = False,
) -> dict[str, ModelSpec]:
    """{name: spec} of the models of a run, and of those named `also`.

    First everything is looked for on this machine. The hub is then asked about all that is not here, and only when it has
    every one of them are they downloaded, one after the other. Without `download`, or where anything is missing, one
    MissingError names all of it. Raises UsageError where `revision` is set and no model takes one, CorruptError for
    damaged files. `bars`: the hub library draws its own, and the reporter none.
    """
    names = dict.fromkeys((*config.models, *also))
    _check_revision(config)
    specs, missing = _found(config, names)
    absent = {name: error for name, error in missing.items() if isinstance(error, NotCachedError)}
    offers = {} if config.offline else _offers(absent)
    refused = {name: found for name, found in offers.items() if isinstance(found, MissingError)}
    if missing and (len(missing) > len(absent) or refused or config.offline or not download):
        raise _missing(config, missing, offers)
    failed: dict[str, MissingError] = {}
    fetched: set[tuple[str, str | None]] = set()
    for name, error in absent.items():
        # A model and its twin are one download.
        about = Silent() if (error.repo, error.revision) in fetched else reporter or Silent()
        fetched.add((error.repo, error.revision))
        try:
            specs[name] = _downloaded(name, config, offers[name], about, bars)
        except MissingError as refusal:
            failed[name] = refusal
    if failed:
        raise _missing(config, failed, {})
    return {name: specs[name] for name in names}


def fetch_models(config: RunConfig, reporter: Reporter | None = None, *, bars: bool = False) -> list[Fetched]:
    """Download all that the run needs and the local cache lacks. Twins need no download of their own.

    Raises what `find_models` raises.
    """
    here, _ = _found(config, config.models)
    specs = find_models(config, download=True, reporter=reporter, bars=bars)
    return [_fetched(name, spec, downloaded=name not in here) for name, spec in specs.items()]


def _downloaded(
    name: str, config: RunConfig, offered: Offer | MissingError, reporter: Reporter, bars: bool
) -> ModelSpec:
    about = f": {len(offered.files)} files, {size(offered.bytes_)}" if isinstance(offered, Offer) else ""
    reporter.message(f"fetching {name}{about}")
    if bars:
        return resolve(name, options=config.options)
    with reporter.task(f"fetching {name}"), without_bars():
        return resolve(name, options=config.options)


def _found(config: RunConfig, names: Iterable[str]) -> tuple[dict[str, ModelSpec], dict[str, MissingError]]:
    """What is on this machine, and what is not."""
    specs: dict[str, ModelSpec] = {}
    missing: dict[str, MissingError] = {}
    for name in names:
        try:
            specs[name] = resolve(name, download=False, options=config.options)
        except MissingError as error:
            missing[name] = error
    return specs, missing


def _check_revision(config: RunConfig) -> None:
    if config.revision and not any(takes_revision(name) for name in config.models):
        pinned = next((name for name in config.models if "@" in name), None)
        why = f"'{pinned}' names its own" if pinned else "only models of the hub have revisions"
        raise UsageError(
            f"--revision {config.revision} says nothing about any model of this run: {why}",
            hint="leave it out, or name a hub model without a revision",
        )


def _offers(absent: Mapping[str, NotCachedError]) -> dict[str, Offer | MissingError]:
    """What the hub says of each; where it cannot be reached it is not asked again."""
    found: dict[str, Offer | MissingError] = {}
    for name, error in absent.items():
        try:
            found[name] = offer(error.repo, error.revision)
        except UnreachableError as unreachable:
            return found | {name: unreachable}
        except MissingError as refusal:
            found[name] = refusal
    return found


def _missing(
    config: RunConfig,
    missing: Mapping[str, MissingError],
    offers: Mapping[str, Offer | MissingError],
) -> MissingError:
    """One error for all that is missing, with the command that would fetch what can be fetched."""
    found = {name: offers.get(name) for name in missing}
    refused = {name: about for name, about in found.items() if isinstance(about, MissingError)}
    errors = {name: refused.get(name, error) for name, error in missing.items()}
    said = {name: f"{error.message}{_would(found[name])}" for name, error in errors.items()}
    hints = dict.fromkeys(error.hint for error in errors.values() if error.hint != FETCH_HINT)
    fetchable = [n for n, error in errors.items() if isinstance(error, NotCachedError | UnreachableError)]
    if fetchable:
        known = all(isinstance(found[name], Offer) for name in fetchable)
        hints = {
            f"`{_command(config, fetchable)}` downloads{'' if known else ', where there is a network'}": None
        } | hints
    elif len(errors) == 1:
        return next(iter(errors.values()))
    if len(errors) == 1:
        return MissingError(next(iter(said.values())), hint="; ".join(hints))
    lines = [f"  {name}: {line}" for name, line in said.items()]
    return MissingError("\n".join([f"{len(errors)} models are not here:", *lines]), hint="; ".join(hints))


def _would(found: Offer | MissingError | None) -> str:
    return f"; {size(found.bytes_)} would be fetched" if isinstance(found, Offer) else ""


def _command(config: RunConfig, names: Iterable[str]) -> str:
    options = {"--revision": config.revision, "--cache-dir": str(config.cache_dir or "")}
    words = ["conceptprobe", "plan", config.concept, "--models", ",".join(names)]
    return shlex.join(
        [*words, *(word for option, value in options.items() if value for word in (option, value)), "--fetch"]
    )


def _fetched(name: str, spec: ModelSpec, downloaded: bool) -> Fetched:
    first = towers(spec)[0]
    folders: tuple[Path, ...] = getattr(first, "folders", ())
    files = [path for path in folders[0].rglob("*") if path.is_file()] if folders else []
    return Fetched(
        model=name,
        source=spec.info.source,
        revision=spec.info.revision,
        folder=str(folders[0]) if folders else "",
        bytes_=sum(path.stat().st_size for path in files),
        downloaded=downloaded,
    )
