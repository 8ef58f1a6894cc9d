"""Train a small Llama-shaped language model on books: tokeniser, windows, steps, evaluation, export.

The three commands `pocket_lm`, `pocket_lm_b` and `pocket_lm_series` are settings of what is here. Matrices are trained
by Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon), the embedding and the norms by AdamW; the
learning rate is flat and falls to nothing over the last part, so that a checkpoint on the way is a fair sibling.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from conceptprobe.files import replacing, write_text
from zoo.training import checkpoint
from zoo.training.bits import model_bits_per_byte
from zoo.training.books import Book, fingerprint, train_tokenizer, windows
from zoo.training.progress import steps_with_progress

if TYPE_CHECKING:
    from jaxtyping import Int

EXCERPT = 20_000
"""Characters of each held-out book behind a point of the curve; the card's final figure is on whole books."""

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, beside the text."""

    d_model: int
    n_layers: int
    n_heads: int
    d_mlp: int
    tokens: int
    """Tokens trained on, rounded up to whole steps."""
    vocabulary: int = 8192
    length: int = 256
    """Tokens in a window."""
    batch: int = 32
    """Windows in a step."""
    seed: int = 0
    matrix_rate: float = 0.02
    """Learning rate of Muon."""
    other_rate: float = 3e-3
    """Learning rate of AdamW."""
    cooldown: float = 0.4
    """Last share of the steps, over which the learning rate falls to nothing."""

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return math.ceil(self.tokens / (self.batch * self.length))

    def config(self) -> LlamaConfig:
        """The architecture, as transformers spells it."""
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.d_model,
            intermediate_size=self.d_mlp,
            num_hidden_layers=self.n_layers,
            num_attention_heads=self.n_heads,
            num_key_value_heads=self.n_heads,
            max_position_embeddings=self.length + 1,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=None,
        )


@dataclass(frozen=True)
class Point:
    """One row of the training curve."""

    step: int
    tokens: int
    train_loss: float
    """Nats per token over the steps since the point before."""
    bits_per_byte: float
    """On the first EXCERPT characters of every held-out book."""


def untrained(recipe: Recipe) -> LlamaForCausalLM:
    """The model before its first step: a function of the recipe alone."""
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(recipe.config())


def prepare(
    books: Sequence[Book], recipe: Recipe, work: Path
) -> tuple[PreTrainedTokenizerFast, Int[np.ndarray, "n length"]]:
    """The tokenizer and all windows, in the order of training; kept in `work`, because tokenising takes minutes."""
    key = f"{fingerprint(books)[:12]}-{recipe.vocabulary}-{recipe.length}"
    folder, tensors = work / f"tokenizer-{key}", work / f"windows-{key}.safetensors"
    if not tensors.is_file():
        tokenizer = train_tokenizer(books, recipe.vocabulary)
        tokenizer.save_pretrained(folder)
        with replacing(tensors) as temporary:
            save_file({"windows": windows(books, tokenizer, recipe.length).astype(np.uint16)}, temporary)
    rows = load_file(tensors)["windows"]
    order = np.random.default_rng(recipe.seed).permutation(len(rows))
    return PreTrainedTokenizerFast.from_pretrained(folder), rows[order]


def train(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    rows: Int[np.ndarray, "n length"],
    held_out: Sequence[Book],
    work: Path,
    *,
    keep: Sequence[int] = (),
    device: str = "cpu",
    compiled: bool = False,
    points: int = 4,
    kept: Callable[[int, LlamaForCausalLM], None] | None = None,
) -> tuple[LlamaForCausalLM, list[Point]]:
    """Train, or go on where a killed run stopped; returns the model and its curve.

    `kept` is called with the model after each step of `keep`. Batches are a function of the step alone (window number
    step * batch of a fixed order, epoch after epoch), so an interrupted training sees what an unbroken one sees.
    """
    work.mkdir(parents=True, exist_ok=True)
    model = untrained(recipe)
    torch.nn.Module.to(model, device)  # the method as torch types it
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimisers = [
        torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.0),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    saved, curve_file = work / "checkpoint.safetensors", work / "curve.json"
    start = checkpoint.restore(saved, model, optimisers)
    curve = [Point(**row) for row in json.loads(curve_file.read_text())] if start else []
    # Written in plain attention, which torch.compile fuses: at 256 tokens that is faster on a CPU than SDPA's kernel.
    model.set_attn_implementation("eager" if compiled and device == "cpu" else "sdpa")

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = model.lm_head(model.model(input_ids=x, use_cache=False).last_hidden_state)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    loss: Loss = torch.compile(loss_of) if compiled else loss_of
    measured = {round(recipe.steps * (i + 1) / points) for i in range(points)} | set(keep) | {recipe.steps}
    if start == 0 and 0 in keep and kept:
        kept(0, model)
    excerpts = [replace(book, text=book.text[:EXCERPT]) for book in held_out]
    recent: deque[float] = deque([0.0], maxlen=20)
    losses: list[float] = []
    last_saved = time.monotonic()
    for step in steps_with_progress(start, recipe.steps, lambda: f"loss {np.mean(recent):.3f}"):
        take = np.arange(step * recipe.batch, (step + 1) * recipe.batch) % len(rows)
        y = torch.as_tensor(rows[take].astype(np.int64), device=device)
        x = torch.cat([torch.zeros_like(y[:, :1]), y[:, :-1]], dim=1)
        with torch.autocast(device, dtype=torch.bfloat16):
            value = loss(x, y)
        value.backward()
        for optimiser, rate in zip(optimisers, (recipe.matrix_rate, recipe.other_rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * _schedule(step, recipe)
            optimiser.step()
            optimiser.zero_grad()
        losses.append(float(value.detach()))
        recent.append(losses[-1])
        done = step + 1
        if done in measured:
            bits = model_bits_per_byte(model, tokenizer, excerpts, length=recipe.length, fast=True)
            curve.append(Point(done, done * recipe.batch * recipe.length, float(np.mean(losses)), bits))
            losses = []
            if done in keep and kept:
                kept(done, model)
        if done in measured or time.monotonic() - last_saved > 120:
            write_text(curve_file, json.dumps([vars(p) for p in curve]))
            checkpoint.save(saved, done, model, optimisers)
            last_saved = time.monotonic()
    model.set_attn_implementation("sdpa")
    return model.eval(), curve


def _schedule(step: int, recipe: Recipe) -> float:
    """1 after a warm-up of 20 steps, then a straight line to 0 over the cooldown."""
    warm = min(1.0, (step + 1) / 20)
    return warm * min(1.0, (recipe.steps - step) / max(1, recipe.cooldown * recipe.steps))


def options(description: str, tokens: int, tokens_gpu: int) -> argparse.ArgumentParser:
    """The options all three commands have."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--books", type=Path, required=True, help="xz text, books separated by a line <|endoftext|>")
    p.add_argument("--out", type=Path, required=True, help="folder for weights, tokenizer and card")
    p.add_argument("--work", type=Path, default=Path("build/zoo"), help="folder for checkpoints (default %(default)s)")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default %(default)s")
    p.add_argument("--tokens", type=int, help=f"tokens to train on (default {tokens:,}; {tokens_gpu:,} with a GPU)")
    p.add_argument("--threads", type=int, help="CPU threads (default: as many as torch chooses)")
    p.add_argument(
        "--compile", action="store_true", help="compile the loss: a minute at first, half as slow afterwards"
    )
    p.set_defaults(tokens_cpu=tokens, tokens_gpu=tokens_gpu)
    return p


def token_budget(arguments: argparse.Namespace) -> int:
    """What was asked for, or the default of the device."""
    if arguments.tokens is not None:
        return int(arguments.tokens)
    return int(arguments.tokens_cpu if arguments.device == "cpu" else arguments.tokens_gpu)
