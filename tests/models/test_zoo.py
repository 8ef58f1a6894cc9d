"""What ships: whole, as stated, within its size, and as good as its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from conceptprobe.evidence.context import Subject
from conceptprobe.models import ModelSpec, resolve, towers, zoo_entries
from conceptprobe.models.zoo import ZOO
from conceptprobe.stimuli import expand_background_media, load_background
from conceptprobe.stimuli.stimulus import Stimulus

POCKET = ("pocket-lm", "pocket-lm-b", "pocket-vision", "pocket-joint")
SERIES = ZOO / "pocket-lm-series"
MOST_BYTES = 60_000_000


def steps() -> list[str]:
    return sorted((p.name for p in SERIES.glob("step-*")), key=lambda s: int(s.removeprefix("step-")))


def test_all_weights_of_the_pocket_models_stay_within_sixty_megabytes() -> None:
    weights = [p for p in ZOO.rglob("*.safetensors") if "cooccurrence" not in p.parts]
    assert len(weights) >= 9
    assert sum(p.stat().st_size for p in weights) <= MOST_BYTES


@pytest.mark.parametrize("name", [*POCKET, "pocket-lm-series"])
def test_every_card_says_what_it_must(name: str) -> None:
    card = (ZOO / name / "README.md").read_text()
    for word in ("licence", "sha256", "steps", "loss", "Limits", "python -m zoo."):
        assert word in card, word
    stated = json.loads((ZOO / name / "sha256.json").read_text())
    files = {p.relative_to(ZOO / name).as_posix() for p in (ZOO / name).rglob("*") if p.is_file()}
    assert files - {"README.md", "sha256.json"} == set(stated)
    assert all(digest in card for digest in stated.values())
    assert not re.search(r"(?:^|[\s`=])/\w", card)  # no path of the machine it was made on


@pytest.mark.parametrize("name", POCKET)
def test_every_model_loads_and_reads(name: str) -> None:
    pictures = expand_background_media(load_background("background"))["background_pictures"].stimuli[:3]
    texts = [Stimulus("0", "", "", "background", "text", "Her soul was quiet.", span=(4, 8))]
    for tower in towers(resolve(name)):
        stimuli = texts if tower.info.modalities == ("text",) else list(pictures)
        assert tower.info.dtype == "float32"
        for _, arrays in tower.load().activations(stimuli, list(tower.sites), ["mean"]):
            assert all(np.isfinite(x).all() and x.std() > 0 for x in arrays.values())


def test_the_two_readers_share_nothing_and_the_series_is_a_relative_of_the_first() -> None:
    a, b = resolve("pocket-lm"), resolve("pocket-lm-b")
    last = resolve(f"pocket-lm-series@{steps()[-1]}")
    assert not a.info.related_to(b.info)
    assert last.info.related_to(a.info)
    assert not last.info.related_to(b.info)
    joint = resolve("pocket-joint")
    assert joint.info.related_to(resolve("minilm").info)
    assert joint.info.related_to(resolve("pocket-vision").info)
    assert not joint.info.related_to(b.info)


def test_a_series_has_at_least_five_steps_and_a_first_one_without_weights() -> None:
    assert len(steps()) >= 5
    first = resolve("pocket-lm-series@step-0")
    assert not (SERIES / "step-0" / "model.safetensors").exists()
    assert first.info.name == "pocket-lm-series@step-0"
    assert first.info.kind == "twin"
    text = [Stimulus("0", "", "", "background", "text", "Her soul was quiet.")]
    ((_, once),) = first.load().activations(text, ["resid_post.0"], ["mean"])
    ((_, again),) = resolve("pocket-lm-series@step-0").load().activations(text, ["resid_post.0"], ["mean"])
    assert np.array_equal(once["resid_post.0", "mean"], again["resid_post.0", "mean"])


def test_the_loss_of_the_series_falls_at_every_step() -> None:
    card = (SERIES / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) \| [\d,]+ \| (\d+\.\d+) \|$", card, flags=re.M)
    at = dict(zip((int(s) for s, _ in rows), (float(v) for _, v in rows), strict=True))
    kept = [int(s.removeprefix("step-")) for s in steps()]
    values = [at[s] for s in kept]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


def test_the_list_shows_all_models_with_a_line_each() -> None:
    entries = {e.name: e for e in zoo_entries()}
    assert set(POCKET) | {"pocket-lm-series", "minilm"} <= set(entries)
    assert entries["pocket-joint"].modality == "text, image"
    assert all(len(e.line) > 20 for e in entries.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pocket-lm", "pocket-lm-b"])
def test_a_language_model_compresses_a_book_it_never_read(name: str, shared_data: Path | None) -> None:
    """Ordinary prose of the time, written for this test: below the 1.90 bits per byte that the cards must reach."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from zoo.training.bits import model_bits_per_byte
    from zoo.training.books import Book, read_books, split_by_author

    text = (
        "The old man rose from his chair and went to the window. It had begun to rain, and the road before the house was "
        "already dark with mud. He had not heard from his brother for more than a year; and though he told himself every "
        "morning that a letter would come before the evening, he had long ceased to believe it. His wife looked up from "
        "her work. She said nothing, but he saw that she had been crying, and he turned away again in silence. "
    )
    books = [Book("", "", text)]
    most = 1.9
    if shared_data is not None:
        shelf = read_books(shared_data / "data" / "books.txt.xz")
        books = [Book(b.title, b.author, b.text[:4000]) for b in split_by_author(shelf).held_out]
        most = 2.0  # the beginnings of books are harder than the rest
    model = LlamaForCausalLM.from_pretrained(ZOO / name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ZOO / name)
    assert model_bits_per_byte(model, tokenizer, books, length=256) < most


@pytest.mark.slow
def test_pictures_find_their_captions_in_the_joint_model() -> None:
    """On the shipped stimuli, none of which it was trained on; captions are not the names it was trained to find."""
    media = expand_background_media(load_background("background"))
    text, image = towers(resolve("pocket-joint"))

    def rows(spec: ModelSpec, name: str) -> np.ndarray:
        stimuli = list(media[name])
        out: dict[int, np.ndarray] = {}
        for numbers, arrays in spec.load().activations(stimuli, ["pooled"], ["mean"]):
            out |= dict(zip(numbers, arrays["pooled", "mean"], strict=True))
        found = np.array([out[i] for i in range(len(stimuli))])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    near = rows(image, "background_pictures") @ rows(text, "background_captions").T
    rank = (near > np.diag(near)[:, None]).sum(axis=1)
    chance = 10 / len(near)
    assert (rank < 10).mean() > 3 * chance


def test_a_subject_of_either_tower_has_one_name() -> None:
    text, image = (Subject(t.info, t.sites) for t in towers(resolve("pocket-joint")))
    assert text.name == image.name == "pocket-joint"
    assert (text.label, image.label) == ("pocket-joint", "pocket-joint (image)")
