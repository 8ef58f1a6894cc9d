"""Sentence encoders like E5, BGE and GTE: folders of sentence-transformers around encoders, or decoders, of any family."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conceptprobe.models import resolve
from conceptprobe.models.families.text import FAMILIES
from models.plain import Plain
from models.tiny_models import collect, stimuli

LIKE = {
    "bert": ("BGE", "cls", True),
    "xlm-roberta": ("multilingual E5", "mean", True),
    "mpnet": ("all-mpnet", "mean", True),
    "gte": ("GTE", "cls", False),
    "nomic_bert": ("Nomic", "mean", False),
    "modernbert": ("GTE of ModernBERT", "cls", False),
    "qwen3": ("Qwen3 embedding", "lasttoken", True),
    "t5": ("a T5 encoder", "mean", True),
}
"""Family -> what is pooled so: its name, mode, and whether vectors have unit length."""


@pytest.mark.parametrize("name", LIKE)
def test_pooled_is_what_the_folder_says(name: str, tiny_text: Callable[[str], Path], tmp_path: Path) -> None:
    """One text at a time, special tokens counted; batches padded on either side give the same."""
    _, mode, normalize = LIKE[name]
    folder = tmp_path / name
    shutil.copytree(tiny_text(name), folder)
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    modules = [{"idx": i, "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    named = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    flags = {f"pooling_mode_{flag}": mode == key for key, flag in named.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **flags}))

    plain = Plain(folder, FAMILIES[name])
    items = stimuli(9)
    expected = []
    for item in items:
        states = plain.states(item.content)["final"]
        vector = {"cls": states[0], "mean": states.mean(0), "lasttoken": states[-1]}[mode]
        expected.append(vector / np.linalg.norm(vector) if normalize else vector)

    model = resolve(str(folder)).load()
    assert model.sites[-1] == "pooled"
    for model.padding_side in ("left", "right"):
        rows = collect(model, items, ["pooled"], ("mean",))["pooled", "mean"]
        assert np.abs(rows - np.stack(expected)).max() < 1e-5 * np.abs(expected).max()
