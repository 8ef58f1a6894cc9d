"""From books to a folder of the zoo: split, train, export in float16, evaluate what was exported, write the card."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from zoo.training.bits import model_bits_per_byte, ngram_bits_per_byte, xz_bits_per_byte
from zoo.training.books import Split, read_books, split_by_author
from zoo.training.card import table, write_card
from zoo.training.language import EXCERPT, Point, Recipe, prepare, train

SOURCE = "github mlschmitt/classic-books-markdown @944882722e (public domain)"
LICENCE = "CC0-1.0 or Apache-2.0, as you like"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def make(name: str, recipe: Recipe, half: str, arguments: argparse.Namespace, command: str) -> None:
    """Train one language model and write its folder."""
    split = read_split(arguments)
    work = arguments.work / name
    tokenizer, rows = prepare(split.half(half), recipe, arguments.work)
    say(f"{len(rows):,} windows of {recipe.length} tokens from {len(split.half(half))} books")
    model, curve = train(
        recipe, tokenizer, rows, split.held_out, work, device=arguments.device, compiled=arguments.compile
    )
    out = arguments.out
    export(model, tokenizer, out)
    model = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32).to(arguments.device).eval()
    say("evaluating what was exported on whole held-out books")
    facts = common_facts(recipe, split, half, len(rows), curve) | rivals(split, half)
    bits = model_bits_per_byte(model, tokenizer, split.held_out, length=recipe.length, fast=True)
    facts["**held-out bits per byte, exported weights, whole books (bfloat16)**"] = f"**{bits:.3f}**"
    write_card(
        out,
        name,
        what=(
            f"A decoder of {model.num_parameters() / 1e6:.1f} million parameters ({recipe.n_layers} layers, d "
            f"{recipe.d_model}, Llama's architecture, tied embeddings) that read books of the 19th century and before, "
            "and nothing else. It predicts, it does not converse; every text begins with `<|endoftext|>`, which its "
            "tokenizer adds."
        ),
        facts=facts,
        sections={
            "Training curve": curve_table(curve),
            "Limits": LIMITS,
            "Authors held out": ", ".join(sorted({b.author for b in split.held_out})) + ".",
            "Authors read": ", ".join(sorted({b.author for b in split.half(half)})) + ".",
        },
        command=command,
    )
    say(f"{out}: {bits:.3f} bits per byte")


LIMITS = """\
English of another time, much of it translated: its souls are those of novels, sermons and sagas, and the views of its
authors are not ours. It is small, and knows the world less well than its grammar. Agreement with another model
trained on these books would be agreement with the books; pocket-lm and pocket-lm-b share none."""


def read_split(arguments: argparse.Namespace) -> Split:
    """The books by use; sets the number of threads on the way."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return split_by_author(read_books(arguments.books))


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast | None, out: Path) -> None:
    """Weights in float16, configuration and tokenizer, in the hub's format."""
    shutil.rmtree(out, ignore_errors=True)
    half = LlamaForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    if tokenizer is not None:
        tokenizer.save_pretrained(out)


def common_facts(recipe: Recipe, split: Split, half: str, n_windows: int, curve: Sequence[Point]) -> dict[str, str]:
    """What both kinds of cards say of data and training."""
    books = split.half(half)
    used = recipe.steps * recipe.batch
    return {
        "text": f"{len(books)} books of {len({b.author for b in books})} authors (half {half} of the split), {SOURCE}",
        "bytes of text": f"{sum(len(b.text.encode()) for b in books):,}",
        "tokens trained on": f"{used * recipe.length:,} ({used / n_windows:.2f} epochs)",
        "steps": f"{recipe.steps:,} of {recipe.batch} windows of {recipe.length} tokens",
        "optimiser": f"Muon {recipe.matrix_rate:g} (matrices), AdamW {recipe.other_rate:g} (the rest), bfloat16 autocast",
        "schedule": f"20 steps of warm-up, flat, straight to 0 over the last {recipe.cooldown:.0%}",
        "tokenizer": f"byte-level BPE of {recipe.vocabulary:,}, trained on the same text",
        "seed": str(recipe.seed),
        "last training loss": f"{curve[-1].train_loss:.3f} nats per token",
        "held-out text": f"{len(split.held_out)} whole books of {len({b.author for b in split.held_out})} authors",
        "licence of the weights": LICENCE,
    }


def rivals(split: Split, half: str) -> dict[str, str]:
    """What needs no network, on the same text."""
    return {
        "bits per byte of xz -9e": f"{xz_bits_per_byte(split.held_out):.3f}",
        "bits per byte of a character 5-gram (Witten-Bell, counted on all of the half)": (
            f"{ngram_bits_per_byte(split.half(half), split.held_out):.3f}"
        ),
    }


def curve_table(curve: Sequence[Point]) -> str:
    """Step by step; the held-out figure is on the beginnings of the books, which are harder than the rest."""
    rows = [(p.step, f"{p.tokens:,}", f"{p.train_loss:.3f}", f"{p.bits_per_byte:.3f}") for p in curve]
    head = ("step", "tokens", "training loss (nats per token)", f"bits per byte, first {EXCERPT:,} characters of each")
    return table(head, rows)


def say(text: str) -> None:
    """One line on stderr, with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
