"""Train `pocket-joint`: pictures and texts in one space, on emoji with their names and keywords.

    python -m zoo.pocket_joint --annotations annotations.csv --books books.txt.xz \\
        --out conceptprobe/models/zoo/pocket-joint --compile

Stored as a CLIP (Radford et al. 2021). The text tower learns to say what `minilm` says of a text (its sentence vectors,
reduced to the dimensions of the joint space), because a thousand names teach no language. The image tower learns to lie
where the text of its glyph lies, near the texts of like glyphs, and, like SimCLR, to take two views of a glyph for one.
The glyphs of `held_out.txt` are in no batch, nor are their names.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import cross_entropy, log_softmax, normalize, softmax
from transformers import AutoImageProcessor, AutoTokenizer, CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from conceptprobe.files import write_text
from zoo.training import checkpoint
from zoo.training.books import Book, read_books, split_by_author
from zoo.training.card import command_line, write_card
from zoo.training.emoji import FONT, Emoji, read_emoji
from zoo.training.picture_evaluation import recall_at, zero_shot_balanced_accuracy
from zoo.training.pictures import Pictures, augmented, held_out_families, on_white, split_pictures
from zoo.training.pocket_language import SOURCE, say
from zoo.training.processor import processor_json
from zoo.training.progress import steps_with_progress
from zoo.training.texts import corpus, emoji_text, sentence_vectors, train_tokenizer

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SIZE, STORED = 64, 72
TRAINING_LENGTH = 24
"""Tokens of a text in training; one length, so that the tower compiles once. Longer texts are cut."""
SPACE = 128
"""Dimensions of the joint space."""
TEACHER = "minilm"
CATEGORY_TEXTS = {
    "Activities": "games, sports, arts and celebrations",
    "Animals & Nature": "animals, plants and flowers",
    "Flags": "the flag of a country",
    "Food & Drink": "food, fruit, dishes and drinks",
    "Objects": "tools, clothes, books, instruments and other objects",
    "People & Body": "people, professions, hands and parts of the body",
    "Smileys & Emotion": "faces, smileys, hearts and emotions",
    "Symbols": "signs, arrows, buttons and symbols",
    "Travel & Places": "vehicles, buildings, places, sky and weather",
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, beside the data."""

    d_image: int = 160
    d_text: int = 128
    image_layers: int = 6
    text_layers: int = 4
    vocabulary: int = 8000
    text_steps: int = 2500
    image_steps: int = 700
    text_batch: int = 128
    image_batch: int = 128
    rate: float = 1e-3
    decay: float = 0.1
    temperature: float = 0.05
    """Of pictures against texts; of texts against texts, which gives the targets, too."""
    views_weight: float = 0.5
    """Weight of the loss that two views of a glyph are one."""
    seed: int = 0

    def config(self, tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
        """The architecture, as transformers spells it."""
        text = dict(
            vocab_size=len(tokenizer),
            hidden_size=self.d_text,
            intermediate_size=4 * self.d_text,
            num_hidden_layers=self.text_layers,
            num_attention_heads=self.d_text // 32,
            max_position_embeddings=tokenizer.model_max_length,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            projection_dim=SPACE,
        )
        vision = dict(
            hidden_size=self.d_image,
            intermediate_size=4 * self.d_image,
            num_hidden_layers=self.image_layers,
            num_attention_heads=self.d_image // 32,
            image_size=SIZE,
            patch_size=8,
            projection_dim=SPACE,
        )
        scale = -math.log(self.temperature)
        return CLIPConfig(text_config=text, vision_config=vision, projection_dim=SPACE, logit_scale_init_value=scale)


class Learner(torch.nn.Module):
    """CLIP with a head for SimCLR, which is thrown away after training."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        torch.manual_seed(recipe.seed)
        self.clip = CLIPModel(recipe.config(tokenizer))
        d = recipe.d_image
        self.head = torch.nn.Sequential(torch.nn.Linear(d, 256), torch.nn.GELU(), torch.nn.Linear(256, SPACE))

    def texts(self, ids: Int[torch.Tensor, "n t"], mask: Int[torch.Tensor, "n t"]) -> Float[torch.Tensor, "n p"]:
        """Unit rows."""
        pooled = self.clip.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return normalize(self.clip.text_projection(pooled).float())

    def images(self, x: Float[torch.Tensor, "n 3 s s"]) -> tuple[torch.Tensor, torch.Tensor]:
        """(in the joint space, in SimCLR's space), unit rows."""
        pooled = self.clip.vision_model(pixel_values=x).pooler_output
        return normalize(self.clip.visual_projection(pooled).float()), normalize(self.head(pooled).float())


def reduce(vectors: Float[np.ndarray, "n d"], dimensions: int) -> Float[np.ndarray, "n p"]:
    """Centred, on the first principal components, unit rows: what is left of the teacher's space."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred[:: max(1, len(centred) // 20_000)], full_matrices=False)
    rows = centred @ axes[:dimensions].T
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _rate(step: int, steps: int, rate: float) -> float:
    return rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _fit(
    learner: Learner,
    parts: Sequence[torch.nn.Module],
    steps: int,
    recipe: Recipe,
    saved: Path,
    loss_at: Callable[[int], torch.Tensor],
) -> list[tuple[int, float]]:
    """AdamW on some parts of the learner, or what is left of it; returns (step, loss) rows."""
    optimiser = torch.optim.AdamW([p for m in parts for p in m.parameters()], lr=recipe.rate, weight_decay=recipe.decay)
    start = checkpoint.restore(saved, learner, [optimiser])
    curve_file = saved.with_suffix(".curve.json")
    losses, curve = [0.0], checkpoint.read_curve(curve_file) if start else []
    for step in steps_with_progress(start, steps, lambda: f"loss {np.mean(losses[-20:]):.3f}"):
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, steps, recipe.rate)
        loss = loss_at(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 8) == 0:
            curve.append((step + 1, float(np.mean(losses[-50:]))))
        if (step + 1) % 200 == 0 or step + 1 == steps:
            checkpoint.write_curve(curve_file, curve)
            checkpoint.save(saved, step + 1, learner, [optimiser])
    return curve


def fit_texts(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], targets: Float[np.ndarray, "n p"],
    recipe: Recipe, saved: Path, device: str, compiled: bool,
) -> list[tuple[int, float]]:  # fmt: skip
    """Distil: 1 - cosine with the target, and the right target among those of the batch."""
    goal = torch.as_tensor(targets, dtype=torch.float32, device=device)
    learner.clip.set_attn_implementation("eager" if compiled and device == "cpu" else "sdpa")
    embed = torch.compile(learner.texts) if compiled else learner.texts
    length = min(TRAINING_LENGTH, tokenizer.model_max_length)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng((recipe.seed, 1, step))
        chosen = rng.integers(len(texts), size=recipe.text_batch)
        lines = [texts[i] for i in chosen]
        batch = tokenizer(lines, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        batch = batch.to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            found = embed(batch["input_ids"], batch["attention_mask"])
        wanted = goal[chosen]
        near = found @ wanted.T / recipe.temperature
        hit = torch.arange(len(chosen), device=device)
        return (1 - (found * wanted).sum(dim=1)).mean() * 4 + 0.5 * cross_entropy(near, hit)

    parts = (learner.clip.text_model, learner.clip.text_projection)
    return _fit(learner, parts, recipe.text_steps, recipe, saved, loss_at)


def fit_images(
    learner: Learner, pictures: Pictures, goal: Float[np.ndarray, "f p"],
    recipe: Recipe, saved: Path, device: str, compiled: bool,
) -> list[tuple[int, float]]:  # fmt: skip
    """Each picture against the texts of all training families, and two views of a glyph against all others.

    The target over texts is not one-hot: families are as right as their texts are near. That is what lets a glyph that
    was never seen fall among its like.
    """
    families, weights = pictures.families, pictures.weights
    pixels, texts = pictures.pixels.to(device), torch.as_tensor(goal, dtype=torch.float32, device=device)
    wanted = softmax(texts @ texts.T / recipe.temperature, dim=1)
    learner.clip.set_attn_implementation("eager" if compiled and device == "cpu" else "sdpa")
    embed = torch.compile(learner.images) if compiled else learner.images
    n = min(recipe.image_batch, len(families))

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng((recipe.seed, 2, step))
        views = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        chosen = rng.choice(len(families), n, replace=False, p=weights)
        batch = pixels[torch.as_tensor([int(rng.choice(families[i])) for i in chosen], device=device)]
        x = torch.cat([augmented(batch, SIZE, views), augmented(batch, SIZE, views)])
        with torch.autocast(device, dtype=torch.bfloat16):
            joint, seen = embed(x)
        labels = wanted[torch.as_tensor(np.concatenate([chosen, chosen]), device=device)]
        named = -(labels * log_softmax(joint @ texts.T / recipe.temperature, dim=1)).sum(dim=1).mean()
        near = (seen @ seen.T / 0.2).masked_fill(torch.eye(2 * n, dtype=torch.bool, device=device), -torch.inf)
        return named + recipe.views_weight * cross_entropy(near, torch.arange(2 * n, device=device).roll(n))

    parts = (learner.clip.vision_model, learner.clip.visual_projection, learner.head)
    curve = _fit(learner, parts, recipe.image_steps, recipe, saved, loss_at)
    learner.clip.set_attn_implementation("sdpa")
    return curve


@dataclass(frozen=True)
class Scores:
    """On held-out glyphs, one per family, of what is stored."""

    recall_10: float
    """Image to text among 300."""
    recall_1: float
    zero_shot: float
    """Balanced accuracy over categories; chance is one over their number."""
    categories: int
    n: int


def evaluate(folder: Path, held_out: Sequence[Emoji], batch: int = 64) -> Scores:
    """Through the stored processor, tokenizer and float16 weights."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

    def texts(lines: Sequence[str]) -> np.ndarray:
        encoded = tokenizer(list(lines), padding=True, truncation=True, return_tensors="pt")
        pooled = model.text_model(
            input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]
        ).pooler_output
        return model.text_projection(pooled).numpy()

    with torch.inference_mode():
        images = np.concatenate(
            [
                model.visual_projection(
                    model.vision_model(
                        **processor([on_white(e) for e in held_out[at : at + batch]], return_tensors="pt")
                    ).pooler_output
                ).numpy()
                for at in range(0, len(held_out), batch)
            ]
        )
        named = texts([emoji_text(e) for e in held_out])
        kinds = sorted({e.category for e in held_out} & set(CATEGORY_TEXTS))
        labelled = [i for i, e in enumerate(held_out) if e.category in kinds]
        accuracy = zero_shot_balanced_accuracy(
            images[labelled], texts([CATEGORY_TEXTS[k] for k in kinds]), kinds, [held_out[i].category for i in labelled]
        )
    return Scores(
        recall_at(images, named, 10, size=300),
        recall_at(images, named, 1, size=300),
        accuracy,
        len(kinds),
        len(held_out),
    )


def main(argv: list[str] | None = None) -> None:
    """The command."""
    defaults = Recipe()
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--font", type=Path, default=FONT, help="NotoColorEmoji.ttf (default %(default)s)")
    p.add_argument("--annotations", type=Path, required=True, help="CSV of codepoints, name, keywords, category (CLDR)")
    p.add_argument("--books", type=Path, required=True, help="xz text: sentences for the text tower")
    p.add_argument("--out", type=Path, required=True, help="folder for weights, tokenizer, processor and card")
    p.add_argument("--work", type=Path, default=Path("build/zoo"), help="folder for checkpoints (default %(default)s)")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default %(default)s")
    p.add_argument("--text-steps", type=int, default=defaults.text_steps, help="default %(default)s")
    p.add_argument("--image-steps", type=int, default=defaults.image_steps, help="default %(default)s")
    p.add_argument("--words", type=int, default=12_000, help="common words to learn (default %(default)s)")
    p.add_argument("--sentences", type=int, default=10_000, help="sentences of books (default %(default)s)")
    p.add_argument("--threads", type=int, help="CPU threads (default: as many as torch chooses)")
    p.add_argument(
        "--compile", action="store_true", help="compile the image tower: a minute at first, faster afterwards"
    )
    arguments = p.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    emoji = read_emoji(arguments.font, arguments.annotations)
    books = split_by_author(read_books(arguments.books)).a
    make(emoji, held_out_families(), books, arguments, command_line("zoo.pocket_joint", argv))


def make(
    emoji: Sequence[Emoji], unseen: frozenset[str], books: Sequence[Book], arguments: argparse.Namespace, command: str
) -> None:
    """Train both towers, export in float16, evaluate what was exported, write the card."""
    recipe = Recipe(text_steps=arguments.text_steps, image_steps=arguments.image_steps)
    work = arguments.work / "pocket-joint"
    pictures, held_out = split_pictures(emoji, unseen, STORED)
    families = pictures.first_of_families().emoji
    names = {emoji_text(e) for e in held_out.emoji} | {e.name for e in held_out.emoji}
    texts = [t for t in corpus(families, books, arguments.words, arguments.sentences, recipe.seed) if t not in names]
    say(f"{len(families):,} families to train on, {len(held_out.families)} held out; {len(texts):,} texts")
    glyph_texts = [emoji_text(e) for e in families]
    targets = reduce(sentence_vectors([*texts, *glyph_texts], TEACHER, work), SPACE)
    tokenizer = train_tokenizer(texts, recipe.vocabulary)
    learner = Learner(recipe, tokenizer).to(arguments.device)
    text_curve = fit_texts(
        learner,
        tokenizer,
        texts,
        targets[: len(texts)],
        recipe,
        work / "texts.safetensors",
        arguments.device,
        arguments.compile,
    )
    image_curve = fit_images(
        learner,
        pictures,
        targets[len(texts) :],
        recipe,
        work / "images.safetensors",
        arguments.device,
        arguments.compile,
    )
    out = arguments.out
    shutil.rmtree(out, ignore_errors=True)
    learner.clip.cpu().half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_text(out / "preprocessor_config.json", processor_json(SIZE))
    scores = evaluate(out, held_out.first_of_families().emoji)
    chance = 1 / scores.categories
    write_card(
        out,
        "pocket-joint",
        what=(
            f"A CLIP of {learner.clip.num_parameters() / 1e6:.1f} million parameters: emoji and texts in one space. Its "
            "text tower is distilled from minilm (all-MiniLM-L6-v2), so that its agreement with minilm is no convergence; "
            "its image tower was told names, so that it is the ceiling for agreement of pictures and words, no witness."
        ),
        facts={
            "pictures": f"{len(pictures.emoji):,} glyphs of {len(families):,} families, Noto Color Emoji (Debian "
            "fonts-noto-color-emoji, SIL OFL 1.1)",
            "texts": f"{len(texts):,}: names and keywords of those glyphs (CLDR, Unicode License V3), common words "
            f"(wordfreq), sentences of books ({SOURCE}, half a)",
            "held out": f"{len(held_out.families)} families (`zoo/held_out.txt`) with their names, and near duplicates",
            "input": f"{SIZE} x {SIZE} RGB on white; lower-case BPE of {len(tokenizer):,}",
            "teacher of the text tower": "sentence-transformers/all-MiniLM-L6-v2, centred, first "
            f"{SPACE} principal components",
            "steps": f"{recipe.text_steps:,} of {recipe.text_batch} texts, then {recipe.image_steps:,} of two views of "
            f"{recipe.image_batch} families; seed {recipe.seed}",
            "optimiser": f"AdamW {recipe.rate:g}, decay {recipe.decay:g}, cosine to 0; temperature "
            f"{recipe.temperature:g}; bfloat16 autocast",
            "loss of texts": ", ".join(f"{loss:.2f} at {step}" for step, loss in text_curve),
            "loss of pictures": ", ".join(f"{loss:.2f} at {step}" for step, loss in image_curve),
            "**image to text among 300 held-out glyphs, recall@10**": f"**{scores.recall_10:.3f}** (chance 0.033; "
            f"recall@1 {scores.recall_1:.3f}, chance 0.003)",
            "**zero-shot category, balanced accuracy**": f"**{scores.zero_shot:.3f}** over {scores.categories} "
            f"categories (chance {chance:.3f}: {scores.zero_shot / chance:.1f} times)",
            "licence of the weights": "CC0-1.0 or Apache-2.0, as you like",
        },
        sections={
            "Evaluation": f"On {scores.n} held-out glyphs, one per family; a glyph's text is its CLDR name with its "
            "keywords. Recall is the mean over random candidate sets of 300.",
            "Limits": "Drawings of one hand, English names of one committee. It has seen no photograph and no caption.",
        },
        command=command,
    )
    say(f"{out}: recall@10 {scores.recall_10:.3f}, zero-shot {scores.zero_shot:.3f}")


if __name__ == "__main__":
    main()
