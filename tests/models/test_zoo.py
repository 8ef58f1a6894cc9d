"""What ships: whole, as stated, within its size, and as good as its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from conceptprobe.models import resolve, towers, zoo_entries
from conceptprobe.models.zoo import ZOO
from conceptprobe.stimuli import expand_background_media, load_background
from conceptprobe.stimuli.stimulus import Stimulus

POCKET = ("pocket-lm", "pocket-lm-b")
BOOKS = Path(__file__).parents[3] / "shared" / "data" / "books.txt.xz"
MOST_BYTES = 60_000_000


def test_all_weights_of_the_pocket_models_stay_within_sixty_megabytes() -> None:
    weights = [p for p in ZOO.rglob("*.safetensors") if "cooccurrence" not in p.parts]
    assert len(weights) >= len(POCKET)
    assert sum(p.stat().st_size for p in weights) <= MOST_BYTES


@pytest.mark.parametrize("name", POCKET)
def test_every_card_says_what_it_must(name: str) -> None:
    card = (ZOO / name / "README.md").read_text()
    for word in ("licence", "sha256", "steps", "loss", "Limits", "python -m zoo."):
        assert word in card, word
    stated = json.loads((ZOO / name / "sha256.json").read_text())
    files = {p.relative_to(ZOO / name).as_posix() for p in (ZOO / name).rglob("*") if p.is_file()}
    assert files - {"README.md", "sha256.json"} == set(stated)
    assert all(digest in card for digest in stated.values())
    assert not re.search(r"/(tmp|home|work|root)/", card)


@pytest.mark.parametrize("name", POCKET)
def test_every_model_loads_and_reads(name: str) -> None:
    pictures = expand_background_media(load_background("background"))["background_pictures"].stimuli[:3]
    texts = [Stimulus("0", "", "", "background", "text", "Her soul was quiet.", span=(4, 8))]
    for tower in towers(resolve(name)):
        stimuli = texts if tower.info.modalities == ("text",) else list(pictures)
        assert tower.info.dtype == "float32"
        for _, arrays in tower.load().activations(stimuli, list(tower.sites), ["mean"]):
            assert all(np.isfinite(x).all() and x.std() > 0 for x in arrays.values())


def test_the_two_readers_share_nothing() -> None:
    assert not resolve("pocket-lm").info.related_to(resolve("pocket-lm-b").info)


def test_the_list_shows_all_models_with_a_line_each() -> None:
    entries = {e.name: e for e in zoo_entries()}
    assert set(POCKET) | {"minilm"} <= set(entries)
    assert all(len(e.line) > 20 for e in entries.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pocket-lm", "pocket-lm-b"])
def test_a_language_model_compresses_a_book_it_never_read(name: str) -> None:
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
    if BOOKS.is_file():
        books = [Book(b.title, b.author, b.text[:4000]) for b in split_by_author(read_books(BOOKS)).held_out]
        most = 2.0  # the beginnings of books are harder than the rest
    model = LlamaForCausalLM.from_pretrained(ZOO / name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ZOO / name)
    assert model_bits_per_byte(model, tokenizer, books, length=256) < most
