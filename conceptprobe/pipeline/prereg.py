"""Pre-registration: a plan is frozen before data are seen, and a run that says it follows it cannot deviate from it.

The file carries the hash of its own content. That shows a careless change; against a deliberate one, put the hash
where others can see it (an issue, a mail, a registry) before the run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from conceptprobe.activations.extract import extractor_version
from conceptprobe.activations.store import key_of
from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.frozen import FrozenPlan, FrozenPower, FrozenRule, FrozenSettings, PlanFile, canonical_sha256
from conceptprobe.pipeline.manifest import git_state, now, read_manifest
from conceptprobe.pipeline.plan import Plan
from conceptprobe.pipeline.power import Detectable, detectable
from conceptprobe.pipeline.version import code_version

RULES: Mapping[str, FrozenRule] = {
    "encoded": FrozenRule(
        row="one per trained model and modality",
        site="chosen on inner folds in every outer cell, and again under every relabelling",
        metric="AUROC of a ridge probe with one fixed penalty, on unseen terms in unseen templates, or unseen pictures "
        "or sounds",
        reference="chance, 0.5",
        null="labels flipped within matched pairs, add-one p, Benjamini-Hochberg over the rows",
        interval="95% score interval, Hanley-McNeil with n in units, widened where the null is wider",
    ),
    "beyond_words": FrozenRule(
        row="one per trained text model: sentences of the same words, two senses",
        site="chosen on inner folds in every fold, and again under every relabelling",
        metric="AUROC of a ridge probe within folds, whole pairs held out",
        reference="the largest of 0.5, of the best baseline (word and character counts, word pairs, co-occurrence and token "
        "vectors, proxies of sentiment, concreteness and frequency, position, length, random twins; chosen on inner folds) "
        "and, where it is more than luck (p <= 0.05 of the maximum under relabelling), of the strongest lexical one on test "
        "folds; no verdict where it is at the ceiling",
        null="the largest p of labels flipped within pairs and of within-fold ranks swapped with each reference, "
        "Benjamini-Hochberg over the rows",
        interval="95% from the smallest lower to the smallest upper end of the score interval and the jackknives of the gains",
    ),
    "shared": FrozenRule(
        row="one per pair of unrelated trained text models",
        site="chosen on other words: where the pool's own kinds of words carry over best, both ways",
        metric="mean of both ways' AUROC of a ridge probe, trained on 8 pairs of terms, carried over a ridge map fitted on the "
        "background without the 40 words nearest to the concept; rows averaged to words",
        reference="the largest of 0.5, the mean of either model's random twins, and the mean of 99 matched control concepts",
        null="the largest p of labels flipped within pairs, of the map's word pairs shuffled, and of the control concepts; no "
        "verdict where kinds of words do not carry, or control concepts are too few or hang together less",
        interval="95% from the smallest lower to the smallest upper end of the gains over the three references, the upper ends "
        "at a third of the level",
    ),
    "crossmodal": FrozenRule(
        row="one per text model and unrelated image model, both trained: captions to pictures",
        site="fixed: two thirds up each model",
        metric="AUROC of a ridge probe carried over a ridge map fitted on the background alone",
        reference="the larger of 0.5 and the mean of the random twins; no verdict where ordinary categories do not carry",
        null="the larger p of labels flipped within pairs and of the background's pairing shuffled",
        interval="95% from the smaller lower to the smaller upper end of the score interval and the jackknife of the gain",
    ),
}
"""What is registered for each question, in words."""


def freeze(plan: Plan, path: Path) -> PlanFile:
    """Write the plan to a new file. Raises UsageError where the file is there already or cannot be written."""
    content = _content(plan)
    content["sha256"] = canonical_sha256(content)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    frozen = FrozenPlan.model_validate(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already, and a frozen plan is never overwritten",
            hint="name another file, or delete this one if nothing rests on it",
        ) from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}", hint="--freeze names a file") from error
    return PlanFile(path, frozen, text.encode())


def refuse_plugins(file: PlanFile, config: RunConfig) -> None:
    """Raise UsageError where a run brings code of its own: before that code is run."""
    _refuse(file, list(_plugins(config)))


def check(file: PlanFile, plan: Plan) -> None:
    """Raise UsageError, with every difference on a line of its own, where the run is not the one that was frozen."""
    _refuse(file, list(differences(file.plan, plan)))


def differences(frozen: FrozenPlan, plan: Plan) -> Iterator[str]:
    """`what: frozen this, now that`, for all that decides findings."""
    then, now_ = _deciding(frozen.model_dump(mode="json")), _deciding(_described(plan))
    lines = [*_compare("", then, now_), *_plugins(plan.config)]
    if not lines and frozen.plan_hash != plan.plan_hash:
        lines.append(f"plan_hash: frozen {_shown(frozen.plan_hash)}, now {_shown(plan.plan_hash)}")
    # Names come from a file anybody may have written: no control character reaches a terminal.
    yield from ("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def _plugins(config: RunConfig) -> Iterator[str]:
    yield from (f"plugins: frozen none, now {plugin}" for plugin in config.plugins)


def _refuse(file: PlanFile, lines: Sequence[str]) -> None:
    if not lines:
        return
    only_code = all(line.startswith("code.") for line in lines)
    raise UsageError(
        "\n".join([f"this run is not the one of {file.title}:", *(f"  {line}" for line in lines), "Nothing was run."]),
        hint=_code_hint(file.plan)
        if only_code
        else "leave out the options that contradict the plan, or freeze a new one: `conceptprobe plan CONCEPT --freeze FILE`",
    )


def settings_of(frozen: FrozenPlan) -> dict[str, Any]:
    """The options a run of this plan has, by their names in `RunConfig`."""
    return {"concept": frozen.concept.file, **frozen.settings.model_dump()}


def record(file: PlanFile) -> dict[str, Any]:
    """What a manifest says of the plan a run follows."""
    plan = file.plan
    return {
        "sha256": plan.sha256,
        "frozen": plan.frozen,
        "path": str(file.path),
        "runs_seen": len(plan.seen.finished),
        "unfinished_seen": plan.seen.unfinished,
    }


def _content(plan: Plan) -> dict[str, Any]:
    return {
        "format": "conceptprobe frozen plan 1",
        "frozen": now(),
        **_described(plan),
        "rules": {q: RULES[q].model_dump() for q in plan.config.questions if q in RULES},
        "power": [_power(row) for row in detectable(plan)],
        "seen": _seen(plan),
    }


def _described(plan: Plan) -> dict[str, Any]:
    """The plan as plain data; simulates nothing."""
    config, concept = plan.config, plan.concept
    sets = {name: {"n": len(s), "fingerprint": s.fingerprint} for name, s in plan.sets.items()}
    pool = {name: s["fingerprint"] for name, s in sets.items() if _of_pool(name)}
    return {
        "concept": {"id": concept.id, "name": concept.name, "version": concept.version, "file": config.concept},
        "settings": config.model_dump(mode="json", include=set(FrozenSettings.model_fields)),
        "smallest_effect": concept.smallest_effect.model_dump(),
        "splits": concept.splits.model_dump(),
        "models": {
            f"{s.info.name} ({', '.join(s.info.modalities)})": {
                "kind": s.info.kind,
                "source": s.info.source,
                "revision": s.info.revision,
                "sha256": s.info.sha256,
                "lineage": list(s.info.lineage),
            }
            for s in plan.specs
        },
        "stimuli": sets,
        "pool": key_of(pool) if pool else None,
        "judgements": {table.name: {"n": len(table), "fingerprint": table.fingerprint} for table in plan.judgements},
        "code": {"findings": code_version(), "extraction": extractor_version(), "git": git_state()},
        "plan_hash": plan.plan_hash,
    }


def _deciding(content: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be equal: hashes rather than the places files lie in, and code rather than the commit it is of."""
    settings = {k: v for k, v in content["settings"].items() if k not in _NOT_DECIDING}
    models = {name: {k: about[k] for k in ("kind", "sha256", "lineage")} for name, about in content["models"].items()}
    return {
        "concept": content["concept"]["id"],
        **settings,
        "smallest_effect": content["smallest_effect"],
        "splits": content["splits"],
        "model": models,
        "stimuli": content["stimuli"],
        "pool": content["pool"],
        "judgements": content["judgements"],
        "code": {k: content["code"][k] for k in ("findings", "extraction")},
    }


_NOT_DECIDING = ("background", "human", "device", "device_map", "attn", "revision")
"""Settings that a run of the plan may have otherwise: where things lie, and where and by which kernel models run."""


def _compare(path: str, then: Any, now_: Any) -> Iterator[str]:
    if isinstance(then, Mapping) and isinstance(now_, Mapping):
        for key in dict.fromkeys([*then, *now_]):
            place = f"{path}.{key}" if path else str(key)
            if key not in now_:
                yield f"{place}: frozen, not in this run"
            elif key not in then:
                yield f"{place}: in this run, not frozen"
            else:
                yield from _compare(place, then[key], now_[key])
    elif then != now_:
        yield f"{path}: frozen {_shown(then)}, now {_shown(now_)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = "none" if value in (None, "") else str(value)
    return text[:12] if len(text) == 64 and " " not in text else text


def _code_hint(frozen: FrozenPlan) -> str:
    git = frozen.code.git
    if git is None or git.dirty:
        return "the code has changed since: freeze the plan again with this version"
    return (
        f"the code has changed since: freeze the plan again, or check out the code it names: git checkout {git.commit}"
    )


def _power(row: Detectable) -> dict[str, Any]:
    about = {f.name: getattr(row, f.name) for f in fields(row) if f.name in FrozenPower.model_fields}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in about.items()}


def _of_pool(set_name: str) -> bool:
    return set_name.startswith("background") or set_name == "terms_in_pool"


def _seen(plan: Plan) -> dict[str, Any]:
    """Runs that read one of the concept's own sets, as it is now."""
    own = {s.fingerprint for name, s in plan.sets.items() if not _of_pool(name)}
    finished, unfinished = [], 0
    for path in sorted(plan.config.results.glob("*/*/manifest.json")):
        try:
            manifest = read_manifest(path.parent)
            sets = manifest["stimuli"]["sets"].values()
            known = own & {str(s["fingerprint"]) for s in sets}
        except (CorruptError, KeyError, TypeError, AttributeError):
            continue
        if known and manifest["status"] == "done":
            finished.append(str(manifest["run_id"]))
        elif known:
            unfinished += 1
    return {"results": str(plan.config.results), "finished": finished, "unfinished": unfinished}
