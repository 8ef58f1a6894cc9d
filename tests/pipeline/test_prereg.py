"""Pre-registration: what a frozen plan holds, what counts as a deviation, and what a file may not get away with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.pipeline import prereg
from conceptprobe.pipeline.config import LoadingConfig, RunConfig
from conceptprobe.pipeline.frozen import MOST_BYTES, FrozenPlan, PlanFile, canonical_sha256, read_frozen
from conceptprobe.pipeline.manifest import new_manifest, write_manifest
from conceptprobe.pipeline.plan import Plan, make_plan
from conceptprobe.pipeline.prereg import RULES, check, differences, freeze, settings_of
from conceptprobe.pipeline.run import run
from models.tiny_models import save_model

CONCEPTS = Path(__file__).parents[2] / "concepts"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("tiny"), "bert", max_position_embeddings=256)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))


def plan_of(tiny: Path, results: Path, **about: Any) -> Plan:
    settings = {
        "concept": "soul",
        "models": (str(tiny), "words:cooccurrence"),
        "questions": ("encoded", "beyond_words"),
        "twins": 1,
        "results": results,
    }
    return make_plan(RunConfig(**(settings | about)))


@pytest.fixture(scope="module")
def plan(tiny, tmp_path_factory) -> Plan:
    return plan_of(tiny, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def frozen(plan, tmp_path_factory) -> PlanFile:
    return freeze(plan, tmp_path_factory.mktemp("plans") / "plan.json")


def lines(frozen: PlanFile, plan: Plan) -> list[str]:
    return list(differences(frozen.plan, plan))


def rewritten(file: PlanFile, path: Path, *, rehash: bool, **changes: Any) -> Path:
    content = json.loads(file.content) | changes
    if rehash:
        content["sha256"] = canonical_sha256(content)
    path.write_text(json.dumps(content))
    return path


def test_a_frozen_plan_holds_all_that_decides_the_findings(frozen, plan, tiny):
    held = frozen.plan
    assert held.concept.id == "soul"
    assert held.settings.questions == ("encoded", "beyond_words")
    assert (held.settings.twins, held.settings.permutations, held.settings.seed) == (1, 999, 0)
    assert held.smallest_effect["beyond_words"] == plan.concept.smallest_effect.beyond_words
    assert held.splits == {"term_folds": 5, "template_folds": 3}
    assert {k: v.fingerprint for k, v in held.stimuli.items()} == {k: s.fingerprint for k, s in plan.sets.items()}
    assert {v.sha256 for v in held.models.values()} == {s.info.sha256 for s in plan.specs}
    assert held.models[f"{tiny} (text)"].kind == "trained"
    assert set(held.rules) == {"encoded", "beyond_words"}
    by_question = {row.question: row for row in held.power}
    assert by_question["encoded"].units == 24
    assert 0.1 < by_question["encoded"].detectable < 0.4
    assert by_question["beyond_words"].units_for_absent > by_question["beyond_words"].units
    assert held.seen.finished == ()
    assert held.pool is None
    assert held.frozen.endswith("+00:00")
    assert held.plan_hash == plan.plan_hash


def test_what_was_frozen_is_read_back_and_a_run_of_it_passes(frozen, plan, tmp_path):
    read = read_frozen(frozen.path)
    assert read == frozen
    check(read, plan)
    options = settings_of(read.plan)
    again = make_plan(RunConfig(**options, results=tmp_path))
    assert again.plan_hash == plan.plan_hash
    check(read, again)
    moved = read_frozen(Path(shutil.copy(frozen.path, tmp_path / "copied.json")))
    check(moved, again)


def test_layout_is_not_content(frozen, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(dict(reversed(json.loads(frozen.content).items())), indent=7))
    assert read_frozen(path).plan == frozen.plan


def test_every_question_has_its_rule_in_words():
    from conceptprobe.pipeline.defaults import ASKED

    assert set(RULES) == set(ASKED)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"seed": 1}, ["seed: frozen 0, now 1"]),
        ({"permutations": 1999}, ["permutations: frozen 999, now 1999"]),
        ({"questions": ("encoded",)}, ["questions: frozen encoded, beyond_words, now encoded"]),
        ({"plugins": (Path("mine.py"),)}, ["plugins: frozen none, now mine.py"]),
    ],
)
def test_each_setting_that_differs_is_a_line(frozen, tiny, tmp_path, about, expected):
    assert lines(frozen, plan_of(tiny, tmp_path, **about)) == expected


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({"dtype": "bfloat16"}, "dtype: frozen float32, now bfloat16"),
        ({"prefix": "query: "}, "prefix: frozen none, now query: "),
        ({"chat": True}, "chat: frozen False, now True"),
        ({"truncate": "left"}, "truncate: frozen none, now left"),
        ({"quantize": "4bit"}, "quantize: frozen none, now 4bit"),
    ],
)
def test_options_that_change_numbers_are_deviations(frozen, tiny, tmp_path, about, line):
    found = lines(frozen, plan_of(tiny, tmp_path, **about))
    assert line in found
    others = [other for other in found if other != line]
    assert others  # the hash of the model and of its twin follow
    assert all(f"{tiny}" in other and ".sha256: frozen" in other for other in others)


@pytest.mark.parametrize(
    "about", [{"device": "cpu"}, {"device_map": "auto"}, {"attn": "eager"}, {"offline": True}, {"cache_dir": Path("x")}]
)
def test_another_machine_or_kernel_is_no_deviation(frozen, tiny, tmp_path, about):
    check(frozen, plan_of(tiny, tmp_path, **about))


def test_a_plan_frozen_with_options_is_run_with_them(tiny, tmp_path):
    about = {"dtype": "bfloat16", "prefix": "query: ", "attn": "eager", "questions": ("encoded",)}
    file = freeze(plan_of(tiny, tmp_path, **about), tmp_path / "plan.json")
    again = make_plan(RunConfig(**settings_of(read_frozen(file.path).plan), results=tmp_path))
    assert (again.config.dtype, again.config.prefix, again.config.attn) == ("bfloat16", "query: ", "eager")
    check(file, again)


def test_a_plan_from_before_there_were_options_is_one_of_the_defaults(frozen, tiny, tmp_path):
    content = json.loads(frozen.content)
    old = {k: v for k, v in content["settings"].items() if k not in LoadingConfig.model_fields}
    assert len(old) < len(content["settings"])
    path = rewritten(frozen, tmp_path / "old.json", rehash=True, settings=old)
    assert settings_of(read_frozen(path).plan) == settings_of(frozen.plan)
    check(read_frozen(path), plan_of(tiny, tmp_path))


def test_models_that_come_go_or_change_are_named(frozen, tiny, tmp_path):
    fewer = lines(frozen, plan_of(tiny, tmp_path, models=(str(tiny),)))
    assert "model.words:cooccurrence (text): frozen, not in this run" in fewer
    more = lines(frozen, plan_of(tiny, tmp_path, models=(str(tiny), "words:cooccurrence", "words:tfidf")))
    assert "model.words:tfidf (text): in this run, not frozen" in more
    twins = lines(frozen, plan_of(tiny, tmp_path, twins=2))
    assert "twins: frozen 1, now 2" in twins
    assert any(line.endswith("#1 (text): in this run, not frozen") for line in twins)


def test_weights_that_change_under_the_same_name_are_seen(tiny, tmp_path):
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    before = freeze(plan_of(folder, tmp_path, questions=("encoded",)), tmp_path / "plan.json")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 0x01
    (folder / "model.safetensors").write_bytes(bytes(weights))
    found = lines(before, plan_of(folder, tmp_path, questions=("encoded",)))
    old = before.plan.models[f"{folder} (text)"].sha256
    assert any(line.startswith(f"model.{folder} (text).sha256: frozen {old[:12]}, now ") for line in found)


def test_a_concept_file_that_changes_is_seen_set_by_set(tiny, tmp_path):
    folder = Path(shutil.copytree(CONCEPTS, tmp_path / "concepts"))
    path = folder / "soul.yaml"
    about = {"concept": str(path), "questions": ("encoded",)}
    before = freeze(plan_of(tiny, tmp_path, **about), tmp_path / "plan.json")
    text = path.read_text()
    path.write_text(text.replace('version: "', 'version: "9', 1) if 'version: "' in text else text)
    assert lines(before, plan_of(tiny, tmp_path, **about)) == []  # a version number alone decides nothing
    sentence = next(s for s in plan_of(tiny, tmp_path, **about).sets["same_words"]).content
    assert sentence in text
    path.write_text(text.replace(sentence, sentence[:-1] + "!"))
    found = lines(before, plan_of(tiny, tmp_path, **about))
    assert [line.split(":")[0] for line in found] == ["stimuli.same_words.fingerprint"]


def test_a_smallest_effect_that_moves_is_a_deviation(frozen, plan):
    moved = frozen.plan.model_copy(update={"smallest_effect": frozen.plan.smallest_effect | {"encoded": 0.2}})
    (line,) = differences(moved, plan)
    assert line == f"smallest_effect.encoded: frozen 0.2, now {plan.concept.smallest_effect.encoded}"


def test_changed_code_refuses_and_says_what_to_check_out(frozen, plan, monkeypatch):
    monkeypatch.setattr(prereg, "code_version", lambda: "f" * 64)
    with pytest.raises(UsageError) as failed:
        check(frozen, plan)
    assert f"code.findings: frozen {frozen.plan.code.findings[:12]}, now ffffffffffff" in failed.value.message
    assert "freeze the plan again" in failed.value.hint
    git = {"commit": "abc123", "dirty": False}
    content = json.loads(frozen.content)
    content["code"]["git"] = git
    clean = PlanFile(frozen.path, FrozenPlan.model_validate(content), b"")
    with pytest.raises(UsageError) as failed:
        check(clean, plan)
    assert "git checkout abc123" in failed.value.hint


def test_what_no_field_names_is_caught_by_the_hash_of_the_run(frozen, plan):
    other = frozen.plan.model_copy(update={"plan_hash": "0" * 64})
    assert list(differences(other, plan)) == [f"plan_hash: frozen 000000000000, now {plan.plan_hash[:12]}"]


def test_no_name_of_a_plan_controls_a_terminal(frozen, plan):
    models = dict(frozen.plan.models)
    models["evil\x1b[2J"] = next(iter(models.values()))
    found = list(differences(frozen.plan.model_copy(update={"models": models}), plan))
    assert found == ["model.evil?[2J: frozen, not in this run"]


def test_a_plugin_is_refused_before_its_code_runs(frozen, tiny, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = plan_of(tiny, tmp_path).config.model_copy(update={"plugins": (plugin,)})
    with pytest.raises(UsageError, match="plugins: frozen none"):
        run(config, frozen=frozen)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "soul").exists()


def test_all_deviations_are_told_at_once(frozen, tiny, tmp_path):
    with pytest.raises(UsageError) as failed:
        check(frozen, plan_of(tiny, tmp_path, seed=3, permutations=1999))
    assert "seed: frozen 0, now 3" in failed.value.message
    assert "permutations: frozen 999, now 1999" in failed.value.message
    assert "Nothing was run." in failed.value.message
    assert failed.value.exit_code == 2


def test_a_plan_is_never_overwritten(frozen, plan):
    before = frozen.path.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        freeze(plan, frozen.path)
    assert frozen.path.read_bytes() == before


def test_runs_of_these_stimuli_are_counted_and_others_are_not(plan, tiny, tmp_path):
    for name, status in (("a", "done"), ("b", "done"), ("c", "interrupted")):
        manifest = new_manifest(plan, name, ()) | {"status": status}
        (tmp_path / "soul" / name).mkdir(parents=True)
        write_manifest(tmp_path / "soul" / name, manifest)
    other = plan_of(tiny, tmp_path, concept="self")
    (tmp_path / "self" / "d").mkdir(parents=True)
    write_manifest(tmp_path / "self" / "d", new_manifest(other, "d", ()) | {"status": "done"})
    (tmp_path / "self" / "broken").mkdir()
    (tmp_path / "self" / "broken" / "manifest.json").write_text("{")
    seen = freeze(plan_of(tiny, tmp_path), tmp_path / "plan.json").plan.seen
    assert (seen.finished, seen.unfinished) == (("a", "b"), 1)


def test_a_changed_file_is_refused(frozen, tmp_path):
    content = json.loads(frozen.content)
    settings = content["settings"] | {"seed": 5}
    with pytest.raises(UsageError, match="changed after it was frozen"):
        read_frozen(rewritten(frozen, tmp_path / "p.json", rehash=False, settings=settings))
    with pytest.raises(UsageError, match="changed after it was frozen"):
        read_frozen(rewritten(frozen, tmp_path / "p.json", rehash=False, frozen="2020-01-01T00:00:00+00:00"))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"stray": 1}, "stray"),
        ({"frozen": "2026-01-31\x1b[2J"}, "frozen"),
        ({"settings": {"seed": 0}}, "settings"),
        ({"plan_hash": "../../etc"}, "plan_hash"),
        ({"models": {"m": "x"}}, "models"),
        ({"format": "conceptprobe frozen plan 2"}, "format"),
    ],
)
def test_fields_that_do_not_fit_are_named(frozen, tmp_path, changes, place):
    with pytest.raises(UsageError, match=rf"is not a frozen plan: {place}"):
        read_frozen(rewritten(frozen, tmp_path / "p.json", rehash=True, **changes))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"sha256": 1}',
        '{"frozen": "x", "sha256": "0", "a": NaN}',
        "[" * 100_000,
        '{"frozen": "x", "sha256": "0", "a": 1e999}',
        "\udcff",
    ],
)
def test_what_is_not_a_plan_is_refused_without_a_traceback(tmp_path, text):
    path = tmp_path / "p.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match="not a frozen plan"):
        read_frozen(path)


def test_huge_missing_and_unreadable_files_are_refused(tmp_path):
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UsageError, match="larger than"):
        read_frozen(tmp_path / "big.json")
    with pytest.raises(MissingError, match=r"Did you mean 'big\.json'"):
        read_frozen(tmp_path / "bigg.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_frozen(tmp_path)


def test_tables_of_human_judgements_are_frozen_by_what_they_hold(tiny, tmp_path):
    folder = tmp_path / "human"
    folder.mkdir()
    (folder / "t.txt").write_text("cat dog 3\ncow ox 9\n")
    about = {"questions": ("shared",), "models": ("words:cooccurrence",)}
    before = freeze(plan_of(tiny, tmp_path, **about, human=folder), tmp_path / "plan.json")
    assert before.plan.settings.human == str(folder)
    assert before.plan.judgements["t"].n == 2
    again = make_plan(RunConfig(**settings_of(before.plan), results=tmp_path))
    check(before, again)
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    check(before, plan_of(tiny, tmp_path, **about, human=moved))
    assert lines(before, plan_of(tiny, tmp_path, **about)) == ["judgements.t: frozen, not in this run"]
    (folder / "t.txt").write_text("cat dog 3\ncow ox 9\nsun moon 1\n")
    found = lines(before, plan_of(tiny, tmp_path, **about, human=folder))
    assert found[0] == "judgements.t.n: frozen 2, now 3"
    assert found[1].startswith("judgements.t.fingerprint: frozen ")


def test_a_plan_frozen_before_judgements_could_be_named_stays_valid(frozen, plan, tmp_path):
    content = json.loads(frozen.content)
    del content["judgements"]
    settings = {k: v for k, v in content["settings"].items() if k != "human"}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content))
    old = read_frozen(rewritten(PlanFile(path, frozen.plan, path.read_bytes()), path, rehash=True, settings=settings))
    check(old, plan)
    assert settings_of(old.plan)["human"] is None
