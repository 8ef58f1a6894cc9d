"""Sounds take the same way as texts and pictures: a key of content, rows from the cache, and errors before loading."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conceptprobe.activations import Store, cell_key, extract, missing_cells
from conceptprobe.activations.extract import provenance
from conceptprobe.errors import SoundError, UsageError
from conceptprobe.models import ModelSpec, resolve, towers
from conceptprobe.stimuli.stimulus import StimulusSet
from models.tiny_sounds import save_audio_model, save_clap, save_extractor, sounds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hubert")
    save_audio_model(made, "hubert")
    return made


@pytest.fixture
def spec(folder: Path) -> ModelSpec:
    return resolve(str(folder))


@pytest.fixture
def heard(tmp_path: Path) -> StimulusSet:
    return StimulusSet("sounds", tuple(sounds(tmp_path, 11, seconds=(0.2, 0.15, 0.2))))


def test_rows_come_in_the_order_of_the_sounds_and_from_the_cache(
    spec: ModelSpec, heard: StimulusSet, store: Store
) -> None:
    first = extract(spec, heard, poolings=["mean"], store=store)["mean"]
    assert missing_cells(spec, heard, poolings=["mean"], store=store) == []
    back = extract(spec, StimulusSet("back", heard.stimuli[::-1]), poolings=["mean"])["mean"]
    for item in heard:
        Path(item.file).unlink()
    second = extract(spec, heard, poolings=["mean"], store=store)["mean"]
    for site in spec.sites:
        assert np.array_equal(first[site], second[site])
        assert np.allclose(back[site][::-1], first[site], atol=1e-4)
        assert np.abs(first[site] - first[site].mean(0)).max() > 1e-3
    with pytest.raises(SoundError, match="does not exist"):
        extract(spec, heard, ["attn_out.1"], ["mean"], store=store)


def test_a_key_follows_sound_and_settings_and_not_where_they_lie(
    folder: Path, spec: ModelSpec, heard: StimulusSet, tmp_path: Path
) -> None:
    key = cell_key(spec, heard, "embed", "mean")
    moved = tuple(replace(item, file=item.file + ".wav") for item in heard)
    assert cell_key(spec, StimulusSet("x", moved), "embed", "mean") == key
    changed = tuple(replace(item, content="0" * 64) for item in heard)
    assert cell_key(spec, StimulusSet("x", changed), "embed", "mean") != key
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert cell_key(resolve(str(copy)), heard, "embed", "mean") == key
    save_extractor(copy, "Wav2Vec2FeatureExtractor", do_normalize=False)
    assert cell_key(resolve(str(copy)), heard, "embed", "mean") != key
    assert set(provenance(spec, heard)["decides"]["versions"]) >= {"torch", "transformers", "soundfile", "scipy"}


def test_the_towers_of_a_joint_model_share_nothing_in_the_cache(
    heard: StimulusSet, store: Store, tmp_path: Path
) -> None:
    save_clap(tmp_path / "clap")
    joint = resolve(str(tmp_path / "clap"))
    text, audio = towers(joint)
    with pytest.raises(UsageError, match="has 2 towers"):
        extract(joint, heard, ["pooled"], ["mean"], store=store)
    with pytest.raises(UsageError, match="reads text, and stimulus 's0-0' is audio"):
        extract(text, heard, ["pooled"], ["mean"], store=store)
    assert extract(audio, heard, ["pooled"], ["mean"], store=store)["mean"]["pooled"].shape == (11, 24)
    assert cell_key(text, heard, "pooled", "mean") != cell_key(audio, heard, "pooled", "mean")


def test_a_plan_loads_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys; from conceptprobe.models import resolve; from conceptprobe.activations import cell_key;"
        " from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet;"
        f" spec = resolve({str(folder)!r}); twin = spec.twin(0);"
        " items = StimulusSet('x', (Stimulus('a', 'c', 's', 'positive', 'audio', '0' * 64),));"
        " print(len(cell_key(twin, items, 'embed', 'mean')));"
        " print(sorted({'torch', 'transformers', 'soundfile', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["64", "[]"]
