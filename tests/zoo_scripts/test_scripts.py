"""The training scripts on a few stimuli and for a few steps: what they write loads, verifies and resumes."""

from __future__ import annotations

import importlib
import io
import json
import lzma
import random
from argparse import Namespace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from conceptprobe.models import ModelSpec, resolve, towers
from conceptprobe.stimuli.stimulus import Stimulus

if TYPE_CHECKING:
    from zoo.training.emoji import Emoji

WORDS = "the soul of a bishop went down to sea and there was no light in any house but hers".split()


def script(name: str) -> ModuleType:
    return importlib.import_module(f"zoo.{name}")


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine authors, one book each; two of them may be held out."""
    monkeypatch.setattr(script("training.books"), "HELD_OUT_AUTHORS", 2)
    monkeypatch.setattr(script("training.books"), "HELD_OUT_WORDS", (100, 1000))
    rng = random.Random(0)
    text = ""
    for i in range(9):
        body = "\n\n".join(" ".join(rng.choices(WORDS, k=40)).capitalize() + "." for _ in range(20 if i < 3 else 150))
        text += f"Title: Book {i}\n\nAuthor: Author {i}\n\nYear: 18{i:02}\n\n-------\n\n{body}\n<|endoftext|>\n"
    path = tmp_path / "books.txt.xz"
    path.write_bytes(lzma.compress(text.encode()))
    return path


@pytest.fixture
def emoji() -> list[Emoji]:
    """Forty glyphs of two categories: discs and crosses in many colours."""
    made = script("training.emoji").Emoji
    rng = np.random.default_rng(0)
    out = []
    for i in range(40):
        image = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        x, y, r = (int(v) for v in (rng.integers(30, 90), rng.integers(30, 90), rng.integers(10, 30)))
        if i % 2:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        else:
            draw.line((x - r, y - r, x + r, y + r), fill=colour, width=9)
            draw.line((x - r, y + r, x + r, y - r), fill=colour, width=9)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        name = f"{'disc' if i % 2 else 'cross'} {WORDS[i % len(WORDS)]} {i}"
        category = "Objects" if i % 2 else "Symbols"
        out.append(made((0x1F400 + i,), name, (WORDS[(i + 3) % len(WORDS)],), category, buffer.getvalue()))
    return out


def texts(n: int = 3) -> list[Stimulus]:
    return [Stimulus(str(i), "", "", "background", "text", " ".join(WORDS[i : i + 4])) for i in range(n)]


def verified(folder: Path) -> str:
    """Every file has the hash its folder states; the card."""
    stated = json.loads((folder / "sha256.json").read_text())
    assert "README.md" not in stated
    for name, digest in stated.items():
        assert sha256((folder / name).read_bytes()).hexdigest() == digest
    return (folder / "README.md").read_text()


def finite_rows(spec: ModelSpec, stimuli: list[Stimulus]) -> None:
    model = spec.load()
    for _, arrays in model.activations(stimuli, ["resid_post.0"], ["mean"]):
        assert all(np.isfinite(x).all() for x in arrays.values())


@pytest.mark.parametrize(("name", "half"), [("pocket_lm", "a"), ("pocket_lm_b", "b")])
def test_a_language_model_is_trained_and_exported(name: str, half: str, books: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script(name).main(
        [
            "--books",
            str(books),
            "--out",
            str(out),
            "--work",
            str(tmp_path / "work"),
            "--tokens",
            "8192",
            "--device",
            "cpu",
        ]
    )
    card = verified(out)
    assert f"half {half}" in card
    assert "held-out bits per byte" in card
    assert str(tmp_path) not in card
    finite_rows(resolve(str(out)), texts())


def test_a_series_keeps_its_steps_and_rebuilds_the_first(books: Path, tmp_path: Path) -> None:
    out = tmp_path / "series"
    arguments = ["--books", str(books), "--out", str(out), "--work", str(tmp_path / "work"), "--device", "cpu"]
    script("pocket_lm_series").main([*arguments, "--tokens", str(4 * 4096)])
    verified(out)
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == ["step-0", "step-1", "step-4"]
    assert json.loads((out / "step-0" / "seed.json").read_text()) == {"seed": 0}
    assert not (out / "step-0" / "model.safetensors").exists()


def test_a_killed_training_goes_on_as_if_nothing_had_happened(books: Path, tmp_path: Path) -> None:
    language, read = script("training.language"), script("training.books")
    split = read.split_by_author(read.read_books(books))
    recipe = language.Recipe(
        d_model=32, n_layers=1, n_heads=1, d_mlp=32, tokens=6 * 256, length=64, batch=4, vocabulary=300
    )
    tokenizer, rows = language.prepare(split.a, recipe, tmp_path)
    seen: dict[str, np.ndarray] = {}

    class Killed(Exception):
        pass

    def kill(step: int, model: object) -> None:
        raise Killed

    def train(work: Path, **options: object) -> np.ndarray:
        model, _ = language.train(recipe, tokenizer, rows, split.held_out, work, points=2, **options)
        return model.lm_head.weight.detach().numpy().copy()

    seen["unbroken"] = train(tmp_path / "unbroken")
    with pytest.raises(Killed):
        train(tmp_path / "broken", keep=[5], kept=kill)
    seen["resumed"] = train(tmp_path / "broken")
    assert np.allclose(seen["unbroken"], seen["resumed"], atol=2e-3)


def test_the_split_shares_no_author(books: Path) -> None:
    read = script("training.books")
    split = read.split_by_author(read.read_books(books))
    authors = [{b.author for b in part} for part in (split.a, split.b, split.held_out)]
    assert len(authors[2]) == 2
    assert sum(len(a) for a in authors) == len(set.union(*authors)) == 9


def test_windows_stay_inside_a_book_and_begin_at_paragraphs(books: Path) -> None:
    read = script("training.books")
    split = read.split_by_author(read.read_books(books))
    tokenizer = read.train_tokenizer(split.a, 300)
    rows = read.windows(split.a, tokenizer, 64)
    whole = [tokenizer.decode(tokenizer.encode(b.text, add_special_tokens=False)) for b in split.a]
    for row in rows[:: max(1, len(rows) // 20)]:
        text = tokenizer.decode(row)
        assert any(text in book for book in whole)


def test_bits_per_byte_of_known_texts() -> None:
    bits, book = script("training.bits"), script("training.books").Book
    rng = np.random.default_rng(0)
    coin = "".join(rng.choice(list("ab"), 60_000))
    train, test = [book("", "", coin)], [book("", "", "".join(rng.choice(list("ab"), 5_000)))]
    assert bits.ngram_bits_per_byte(train, test) == pytest.approx(1.0, abs=0.02)
    assert bits.ngram_bits_per_byte(train, [book("", "", "zq" * 500)]) > 5
    assert bits.xz_bits_per_byte([book("", "", "ab" * 5_000)]) < 0.2


def arguments(tmp_path: Path, **more: object) -> Namespace:
    return Namespace(out=tmp_path / "out", work=tmp_path / "work", device="cpu", compile=False, **more)


def test_a_vision_model_is_trained_and_exported(emoji: list[Emoji], tmp_path: Path) -> None:
    vision = script("pocket_vision")
    unseen = frozenset(e.family for e in emoji[:12])
    vision.make(emoji, unseen, arguments(tmp_path, steps=2, seed=0), "python -m zoo.pocket_vision")
    card = verified(tmp_path / "out")
    assert "28 glyphs" in card or "glyphs of" in card
    spec = resolve(str(tmp_path / "out"))
    assert spec.info.modalities == ("image",)
    assert spec.info.dtype == "float32"


def test_a_joint_model_is_trained_and_exported(
    emoji: list[Emoji], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint, book = script("pocket_joint"), script("training.books").Book

    def vectors(lines: list[str], teacher: str, work: Path) -> np.ndarray:
        rng = np.random.default_rng(len(lines))
        rows = rng.standard_normal((len(lines), 384))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    monkeypatch.setattr(joint, "sentence_vectors", vectors)  # minilm itself takes a minute, and has its own tests
    shelf = [book("", "", ". ".join(" ".join(WORDS[i : i + 6]) for i in range(9)) + ".")]
    unseen = frozenset(e.family for e in emoji[:12])
    options = arguments(tmp_path, text_steps=2, image_steps=2, words=300, sentences=40)
    joint.make(emoji, unseen, shelf, options, "python -m zoo.pocket_joint")
    card = verified(tmp_path / "out")
    assert "distilled from minilm" in card
    text, image = towers(resolve(str(tmp_path / "out")))
    finite_rows(text, texts())
    assert image.info.modalities == ("image",)


def test_no_held_out_picture_is_trained_on(emoji: list[Emoji]) -> None:
    pictures = script("training.pictures")
    unseen = frozenset(e.family for e in emoji[:12])
    train, test = pictures.split_pictures(emoji, unseen, 24)
    assert {e.family for e in test.emoji} == unseen
    assert not {e.family for e in train.emoji} & unseen


def test_near_duplicates_of_a_held_out_picture_are_on_neither_side(emoji: list[Emoji]) -> None:
    made, pictures = script("training.emoji").Emoji, script("training.pictures")
    image = Image.open(io.BytesIO(emoji[0].png))
    red, green, blue, alpha = image.split()
    buffer = io.BytesIO()
    Image.merge("RGBA", (green, blue, red, alpha)).save(buffer, "PNG")
    twin = made((0x1F900,), "the same in other colours", (), "Symbols", buffer.getvalue())
    train, test = pictures.split_pictures([*emoji, twin], frozenset({emoji[0].family}), 24)
    assert twin.family not in {e.family for e in (*train.emoji, *test.emoji)}


@pytest.mark.parametrize(
    ("glyph", "base"),
    [("👩🏽‍🌾", "🧑‍🌾"), ("🏃🏿‍♀️‍➡️", "🏃"), ("👍🏻", "👍"), ("🧙‍♂️", "🧙"), ("👵🏽", "🧓"), ("❤️", "❤")],
)
def test_variants_are_one_family(glyph: str, base: str) -> None:
    family = script("training.emoji").family
    assert family(tuple(map(ord, glyph))) == family(tuple(map(ord, base)))


def test_every_shipped_picture_is_held_out_and_the_font_has_it() -> None:
    module = script("training.emoji")
    held_out = script("training.pictures").held_out_families()
    shipped = (Path(__file__).parents[2] / "concepts" / "media").glob("*.png")
    assert {module.family(tuple(int(code, 16) for code in path.stem.split("-"))) for path in shipped} == held_out
    if module.FONT.is_file():
        families = {e.family for e in module.read_emoji(module.FONT)}
        assert len(families) > 1500
        assert held_out <= families


def test_recall_and_accuracy_of_known_spaces() -> None:
    evaluation = script("training.picture_evaluation")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 20))
    assert evaluation.recall_at(x, x + 0.01, 1, size=300) == 1.0
    assert evaluation.recall_at(x, rng.standard_normal((400, 20)), 10, size=300) == pytest.approx(10 / 300, abs=0.015)
    labels = ["a"] * 300 + ["b"] * 100
    assert evaluation.knn_balanced_accuracy(x, labels, rng.standard_normal((400, 20)), labels) == pytest.approx(
        0.5, abs=0.06
    )
    assert evaluation.knn_balanced_accuracy(x, labels, x, labels) > 0.6
