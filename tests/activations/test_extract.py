"""Extraction: each cell computed once, in one pass, under a key that holds all that decides it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activations.counting import Counting
from conceptprobe.activations import LoadedModels, Store, cell_key, extract, missing_cells
from conceptprobe.activations import extract as extract_function
from conceptprobe.errors import UsageError
from conceptprobe.models import resolve
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from models.tiny_models import save_model

BOTH = ("concept_span", "mean")


def test_rows_come_in_the_order_of_the_stimuli(spec: Counting, texts: StimulusSet, store: Store) -> None:
    for where in (None, store, store):
        found = extract(spec, texts, poolings=BOTH, store=where)
        assert set(found) == set(BOTH)
        for pooling, activations in found.items():
            assert activations.ids == texts.ids
            assert activations.pooling == pooling
            assert activations.sites == tuple(activations) == spec.sites
            for site in spec.sites:
                assert activations[site].dtype == np.float32
                assert np.array_equal(activations[site], Counting.expected(site, pooling, range(10)))


def test_one_pass_for_all_that_is_missing_and_none_for_what_is_there(
    spec: Counting, texts: StimulusSet, store: Store
) -> None:
    extract(spec, texts, ["embed"], ["mean"], store=store)
    assert spec.passes == [(("embed",), ("mean",))]
    assert missing_cells(spec, texts, ["embed", "tokens"], ["mean"], store=store) == [("tokens", "mean")]
    extract(spec, texts, ["embed", "tokens"], ["mean"], store=store)
    assert spec.passes[1:] == [(("tokens",), ("mean",))]
    extract(spec, texts, ["embed", "tokens"], ["mean"], store=store)
    assert len(spec.passes) == spec.loads == 2
    assert missing_cells(spec, texts, ["embed", "tokens"], ["mean"], store=store) == []


def test_pooled_is_one_entry_under_every_pooling(spec: Counting, texts: StimulusSet, store: Store) -> None:
    extract(spec, texts, ["pooled"], ["mean"], store=store)
    assert missing_cells(spec, texts, ["pooled"], ["last"], store=store) == []
    assert len(list(store.entries())) == 1
    extract(spec, texts, ["pooled"], BOTH, store=store)
    assert spec.loads == 1


def test_a_damaged_entry_is_computed_again_with_a_warning(spec: Counting, texts: StimulusSet, tmp_path: Path) -> None:
    warnings: list[str] = []
    store = Store(tmp_path, warn=warnings.append)
    extract(spec, texts, ["embed", "tokens"], ["mean"], store=store)
    key = cell_key(spec, texts, "embed", "mean")
    (path,) = tmp_path.rglob(f"{key}.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    assert missing_cells(spec, texts, ["embed", "tokens"], ["mean"], store=store) == [("embed", "mean")]
    found = extract(spec, texts, ["embed", "tokens"], ["mean"], store=store)["mean"]
    assert np.array_equal(found["embed"], Counting.expected("embed", "mean", range(10)))
    assert len(warnings) == 1
    assert spec.passes[1:] == [(("embed",), ("mean",))]


def test_loaded_models_are_shared_between_sets_and_let_go(spec: Counting, texts: StimulusSet, store: Store) -> None:
    models = LoadedModels()
    other = texts.where(lambda s: s.id != "s3", "fewer")
    extract(spec, texts, store=store, models=models)
    extract(spec, other, store=store, models=models)
    assert spec.loads == 1
    models.release(spec)
    extract(spec, texts.where(lambda s: s.id == "s3"), store=store, models=models)
    assert spec.loads == 2


def test_progress_ends_where_it_should(spec: Counting, texts: StimulusSet, store: Store) -> None:
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))

    extract(spec, texts, store=store, progress=progress)
    assert steps == [(0, 10), (4, 10), (8, 10), (10, 10)]
    steps.clear()
    extract(spec, texts, store=store, progress=progress)
    assert steps == [(10, 10)]


@pytest.mark.parametrize(
    ("sites", "poolings", "message"),
    [
        (["embd"], ["mean"], "has no site 'embd'. Did you mean 'embed'?"),
        (["resid_post.7"], ["mean"], "Did you mean 'resid_post.0'?"),
        ([], ["mean"], "no site was named"),
        (["embed"], ["men"], "no pooling named 'men'. Did you mean 'mean'?"),
        (["embed"], [], "no pooling was named"),
    ],
)
def test_a_typo_is_said_before_anything_is_loaded(
    sites: list[str], poolings: Any, message: str, spec: Counting, texts: StimulusSet
) -> None:
    with pytest.raises(UsageError) as error:
        extract(spec, texts, sites, poolings)
    assert message in error.value.message
    assert error.value.hint
    assert spec.loads == 0


def test_a_stimulus_without_its_span_is_said_before_anything_is_loaded(spec: Counting, texts: StimulusSet) -> None:
    bare = StimulusSet("bare", (*texts.stimuli, Stimulus("bare", "c", "s", "control", "text", "nothing")))
    with pytest.raises(UsageError, match="'bare' has no span"):
        extract(spec, bare)
    assert spec.loads == 0


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_loaded(
    spec: Counting, texts: StimulusSet, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        extract(spec, texts, store=Store(tmp_path / "file" / "cache"))
    assert spec.loads == 0


def test_a_site_that_was_not_extracted_is_named(spec: Counting, texts: StimulusSet) -> None:
    found = extract(spec, texts, ["embed"], ["mean"])["mean"]
    assert "embed" in found
    assert "final" not in found
    with pytest.raises(UsageError, match=r"no activations at site 'embd'\. Did you mean 'embed'"):
        found["embd"]


def test_every_ingredient_changes_the_key(spec: Counting, texts: StimulusSet, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[extract_function.__module__]
    keys = [cell_key(spec, texts, "embed", "mean")]
    assert cell_key(Counting(), texts, "embed", "mean") == keys[0]
    keys.append(cell_key(spec.twin(1), texts, "embed", "mean"))
    keys.append(cell_key(replace(spec, info=replace(spec.info, dtype="bfloat16")), texts, "embed", "mean"))
    keys.append(cell_key(spec, texts, "tokens", "mean"))
    keys.append(cell_key(spec, texts, "embed", "last"))
    first = texts.stimuli[0]
    for change in ({"content": "soul !"}, {"span": (0, 3)}, {"id": "other"}):
        changed = StimulusSet("texts", (replace(first, **change), *texts.stimuli[1:]))
        keys.append(cell_key(spec, changed, "embed", "mean"))
    keys.append(cell_key(spec, StimulusSet("texts", texts.stimuli[::-1]), "embed", "mean"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "extractor_version", lambda files: "another")
        keys.append(cell_key(spec, texts, "embed", "mean"))
    for package in ("torch", "transformers", "tokenizers"):
        with monkeypatch.context() as patch:
            patch.setattr(module, "_version", lambda name, package=package: "0" if name == package else "1")
            keys.append(cell_key(spec, texts, "embed", "mean"))
    assert len(set(keys)) == len(keys)
    # What does not decide a number is not in the key: the name of a set and of a model.
    assert cell_key(spec, StimulusSet("renamed", texts.stimuli), "embed", "mean") == keys[0]
    assert cell_key(replace(spec, info=replace(spec.info, name="x")), texts, "embed", "mean") == keys[0]


def test_the_version_of_the_extractor_follows_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = sys.modules[extract_function.__module__]
    for name in module._EXTRACTOR:
        source = module._PACKAGE / name
        assert source.is_file(), f"{name} was moved: the list of files behind the cache key must follow"
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(source.read_bytes())
    original = module.extractor_version()
    monkeypatch.setattr(module, "_PACKAGE", tmp_path)
    version = module.extractor_version.__wrapped__
    assert version() == original
    for name in module._EXTRACTOR:
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(before + b"\n# another way to count\n")
        assert version() != original
        (tmp_path / name).write_bytes(before)


def test_provenance_is_beside_every_entry(spec: Counting, texts: StimulusSet, store: Store) -> None:
    extract(spec, texts, ["embed"], ["mean"], store=store)
    (entry,) = store.entries()
    assert entry.about["model"] == "counting"
    assert entry.about["set"] == "texts"
    assert (entry.about["site"], entry.about["pooling"], entry.about["shape"]) == ("embed", "mean", [10, 3])
    assert entry.about["decides"]["stimuli"] == texts.fingerprint


SCRIPT = """
import json, sys
from pathlib import Path
from conceptprobe.activations import Store, extract
from conceptprobe.models import resolve
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
items = tuple(Stimulus(f"s{i}", "c", "s", "positive", "text", "soul " * (1 + i % 5), span=(0, 4)) for i in range(20))
warnings = []
found = extract(resolve(sys.argv[1]), StimulusSet("x", items), poolings=("concept_span", "mean"),
                store=Store(Path(sys.argv[2]), warn=warnings.append))
total = float(sum(found[p][s].astype("float64").sum() for p in found for s in found[p]))
heavy = sorted({"torch", "transformers", "umap", "sklearn", "pandas"} & set(sys.modules))
print(json.dumps({"total": total, "heavy": heavy, "warnings": warnings}))
"""


def test_a_second_extraction_imports_no_torch(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "bert", "bert")

    def run() -> dict[str, Any]:
        command = [sys.executable, "-c", SCRIPT, str(folder), str(tmp_path / "cache")]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120
        )
        assert "Traceback" not in done.stderr
        return dict(json.loads(done.stdout))

    first, second = run(), run()
    assert "torch" in first["heavy"]
    assert second["heavy"] == []
    assert second["total"] == first["total"]
    assert not first["warnings"]
    assert not second["warnings"]


def test_a_real_model_batches_as_it_is_told(tmp_path: Path) -> None:
    spec = resolve(str(save_model(tmp_path / "gpt2", "gpt2", tokenizer="bytes")))
    items = tuple(
        Stimulus(f"s{i}", "c", "s", "positive", "text", "soul " * (1 + i % 5), span=(0, 4)) for i in range(20)
    )
    models = LoadedModels()
    one, other = (
        extract(spec, StimulusSet("x", items), ["final", "tokens"], BOTH, models=models, batch_tokens=budget)
        for budget in (16, 4096)
    )
    for pooling in BOTH:
        for site in ("final", "tokens"):
            assert np.allclose(one[pooling][site], other[pooling][site], atol=1e-5)
