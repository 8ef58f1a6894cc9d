"""Whole runs: what is written, what a second run costs, and what survives damage and Ctrl-C."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.conftest import ROOT, TINY_RUN, Shell
from conceptprobe.activations import Store

FORBIDDEN_WHEN_WARM = ("torch", "transformers", "umap", "sae_lens", "dcor", "transformer_lens")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "findings.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "run_id"} for row in csv.DictReader(file)]


def arguments(models: str) -> list[str]:
    return ["run", "soul", "--models", models, *TINY_RUN]


@pytest.mark.slow
def test_a_run_writes_a_whole_folder(first_run, tiny, viewer):
    folder, manifest = first_run["folder"], first_run["manifest"]
    assert manifest["status"] == "done"
    assert manifest["arguments"]["typed"][:2] == ["run", "soul"]
    assert manifest["arguments"]["resolved"]["permutations"] == 999
    assert {m["kind"] for m in manifest["models"]} == {"trained", "twin", "static"}
    assert all(len(m["sha256"]) == 64 for m in manifest["models"])
    assert manifest["kernels"]["bert"]["name"] == "sdpa"
    questions = {"encoded", "beyond_words", "shared", "crossmodal"}
    assert set(manifest["stages"]) == questions | {"activations", "projection", "report"}
    assert {"decomposed", "causal", "emergent", "shared"} <= set(manifest["not_asked"])
    assert "crossmodal" not in manifest["not_asked"]
    for name in ("depth_curve", "model_matrix", "null_plot_encoded", "null_plot_beyond_words", "projection"):
        for suffix in ("pdf", "svg", "png", "csv"):
            assert (folder / "figures" / f"{name}.{suffix}").stat().st_size > 100, f"{name}.{suffix}"
    for name in ("control_concepts", "control_balance"):
        assert (folder / "tables" / f"{name}.csv").stat().st_size > 100, name
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]
    from pyarrow import parquet

    table = parquet.read_table(folder / "findings.parquet")
    assert table.num_rows == len(rows(folder))
    headline = [r for r in rows(folder) if r["headline"] == "True"]
    assert {r["question"] for r in headline} == {"encoded", "beyond_words", "crossmodal"}
    assert {(r["question"], r["modality_a"], r["model_a"]) for r in headline if not r["model_b"]} == {
        ("encoded", "text", str(tiny)),
        ("encoded", "image", str(viewer)),
        ("beyond_words", "text", str(tiny)),
    }
    (across,) = (r for r in headline if r["model_b"])
    assert (across["model_a"], across["modality_a"]) == (str(tiny), "text")
    assert (across["model_b"], across["modality_b"]) == (str(viewer), "image")
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "done"


@pytest.mark.slow
def test_the_card_comes_first_off_a_terminal_and_nothing_is_cut(first_run):
    out = first_run["stdout"]
    assert out.index("Is the concept linearly there?") < out.index("95%")
    assert "not asked" in out
    assert "\u2026" not in out
    assert "\x1b[" not in out
    assert "Traceback" not in first_run["stderr"]


@pytest.mark.slow
def test_a_second_run_loads_no_model_and_finds_the_same(first_run, shell: Shell, models):
    script = (
        "import sys\nfrom conceptprobe.cli.app import main\nsys.argv = ['conceptprobe'] + sys.argv[1:]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print('LOADED', [m for m in {FORBIDDEN_WHEN_WARM!r} if m in sys.modules], 'CODE', code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments(models)],
        cwd=shell.folder,
        env=shell.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "LOADED [] CODE 0" in done.stderr, done.stderr
    folders = sorted((shell.folder / "results" / "soul").iterdir())
    assert len(folders) == 2
    assert rows(folders[0]) == rows(folders[1])
    assert json.loads((folders[1] / "manifest.json").read_text())["kernels"] == {}


@pytest.mark.slow
def test_a_damaged_cache_entry_is_made_again_with_the_same_numbers(first_run, shell: Shell, models):
    """One stored answer and one stored activation are broken: both are noticed, and the findings do not change."""
    store = Store(shell.cache)
    wanted = [
        lambda e: e.kind == "artefacts" and e.about.get("stage") == "encoded" and e.about.get("concept") == "soul",
        lambda e: e.kind == "activations" and e.about["set"] == "terms" and e.about["site"] == "resid_post.1",
    ]
    for is_wanted in wanted:
        entry = next(e for e in store.entries() if is_wanted(e))
        path = next(shell.cache.glob(f"{entry.kind}/*/{entry.key}.safetensors"))
        damaged = bytearray(path.read_bytes())
        damaged[-1000] ^= 0xFF
        path.write_bytes(bytes(damaged))
    done = shell(*arguments(models))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("it is made again") == 2, done.stderr
    newest = max((shell.folder / "results" / "soul").iterdir())
    assert rows(newest) == rows(first_run["folder"])


@pytest.mark.slow
def test_an_interrupted_run_ends_with_130_and_resumes_to_the_same_findings(first_run, shell: Shell, models, tmp_path):
    fresh = Shell(shell.folder, tmp_path / "cache")
    results = tmp_path / "results"
    process = fresh.start(*arguments(models), "--results", str(results))
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:  # until the first question has begun
        logs = list(results.glob("soul/*/log.jsonl"))
        if logs and '"stage": "encoded"' in logs[0].read_text():
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out == ""
    (folder,) = (results / "soul").iterdir()
    assert json.loads((folder / "manifest.json").read_text())["status"] == "interrupted"
    assert not (folder / "findings.csv").exists()

    again = fresh(*arguments(models), "--results", str(results))
    assert again.returncode == 0, again.stderr
    assert f"resuming the unfinished run {folder.name}" in again.stderr
    assert [p.name for p in (results / "soul").iterdir()] == [folder.name]
    assert rows(folder) == rows(first_run["folder"])


@pytest.mark.slow
def test_a_model_that_fails_is_left_out_and_the_rest_is_reported(first_run, shell: Shell, tiny, tmp_path):
    from models.tiny_models import save_model

    short = save_model(tmp_path / "short", "gpt2", tokenizer="bytes", n_positions=8, max_position_embeddings=8)
    done = shell(
        "run", "soul", "--models", f"{tiny},words:cooccurrence,{short}", *TINY_RUN, "--json", "--questions", "encoded"
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert [f["model"] for f in report["manifest"]["failures"]] == [str(short)]
    assert "was left out" in done.stderr
    assert {f["model_a"] for f in report["findings"] if f["headline"]} == {str(tiny)}


@pytest.mark.slow
def test_show_and_cache_and_plan_after_a_run(first_run, shell: Shell, models):
    shown = shell("show", "soul")
    assert shown.returncode == 0
    assert "Is the concept linearly there?" in shown.stdout
    as_json = json.loads(shell("show", first_run["manifest"]["run_id"], "--json").stdout)
    assert as_json["manifest"]["run_id"] == first_run["manifest"]["run_id"]
    listed = json.loads(shell("show", "--json").stdout)
    assert first_run["manifest"]["run_id"] in {r["run"] for r in listed}
    cache = json.loads(shell("cache", "--json").stdout)
    assert cache["bytes"] > 0
    assert {g["kind"] for g in cache["groups"]} == {"activations", "artefacts"}
    plan = json.loads(shell("plan", *arguments(models)[1:], "--json").stdout)
    assert plan["missing"] == 0
    assert plan["entries"] > 20


def test_the_wheel_carries_the_concepts_and_the_vectors(tmp_path):
    """The built wheel, imported from a folder of its own, finds a concept by its bare name."""
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    import zipfile

    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "from conceptprobe.stimuli import find_concept_file; print(find_concept_file('soul'))"
    empty = tmp_path / "empty"
    empty.mkdir()
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=empty,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == str(tmp_path / "site" / "conceptprobe" / "_concepts" / "soul.yaml"), found.stderr
    assert (tmp_path / "site/conceptprobe/models/zoo/cooccurrence/vectors.safetensors").is_file()
