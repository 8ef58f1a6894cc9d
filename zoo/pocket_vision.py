"""Train `pocket-vision`: a small ResNet that saw emoji and never a word, by SimCLR.

    python -m zoo.pocket_vision --annotations annotations.csv --out conceptprobe/models/zoo/pocket-vision

Two random views of a glyph are to be nearer to each other than to views of other glyphs (Chen et al. 2020,
https://arxiv.org/abs/2002.05709). Names and categories are used to evaluate alone. The glyphs of `held_out.txt`, the
stimuli of this project, are in no batch.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from transformers import ResNetConfig, ResNetModel

from conceptprobe.files import write_text
from conceptprobe.models import ModelSpec, resolve
from conceptprobe.stimuli.stimulus import Stimulus
from zoo.training import checkpoint
from zoo.training.card import command_line, table, write_card
from zoo.training.emoji import FONT, Emoji, read_emoji
from zoo.training.picture_evaluation import knn_balanced_accuracy, neighbours_balanced_accuracy
from zoo.training.pictures import Pictures, as_stimuli, augmented, held_out_families, split_pictures
from zoo.training.pocket_language import say
from zoo.training.processor import processor_json
from zoo.training.progress import steps_with_progress

if TYPE_CHECKING:
    from jaxtyping import Float

SIZE, STORED = 64, 72
"""Pixels a side: what the network sees, and what is kept to cut views from."""
BATCH, TEMPERATURE, RATE, DECAY = 128, 0.2, 2e-3, 0.05
TWINS = 3


def config() -> ResNetConfig:
    """A ResNet-18 of half the width."""
    made = ResNetConfig(embedding_size=32, hidden_sizes=[32, 64, 128, 256], depths=[2, 2, 2, 2], layer_type="basic")
    made.num_labels = 0
    return made


class Projection(torch.nn.Sequential):
    """SimCLR's head: thrown away after training."""

    def __init__(self, d: int) -> None:
        super().__init__(torch.nn.Linear(d, 256), torch.nn.BatchNorm1d(256), torch.nn.ReLU(), torch.nn.Linear(256, 128))


class Learner(torch.nn.Module):
    """The network with its head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        network: Any = ResNetModel(config())  # its `to` has no type that fits
        self.network = network.to(memory_format=torch.channels_last)
        self.head = Projection(self.network.config.hidden_sizes[-1])

    def forward(self, x: Float[torch.Tensor, "n 3 s s"]) -> Float[torch.Tensor, "n 128"]:
        """Unit rows."""
        pooled = self.network(pixel_values=x).last_hidden_state.mean(dim=(2, 3))
        return torch.nn.functional.normalize(self.head(pooled).float())


def contrast(z: Float[torch.Tensor, "2n d"], temperature: float) -> torch.Tensor:
    """NT-Xent: row i and row i + n are views of one glyph."""
    n = len(z) // 2
    near = z @ z.T / temperature
    near = near.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), -torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return torch.nn.functional.cross_entropy(near, partner)


def train(
    train_set: Pictures, steps: int, seed: int, work: Path, device: str
) -> tuple[Learner, list[tuple[int, float]]]:
    """SimCLR for `steps` steps, or what is left of them; returns the learner and (step, loss) rows."""
    learner = Learner(seed).to(device)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=RATE, weight_decay=DECAY)
    saved = work / "checkpoint.safetensors"
    start = checkpoint.restore(saved, learner, [optimiser])
    families, weights = train_set.families, train_set.weights
    pixels = train_set.pixels.to(device)
    curve_file = saved.with_suffix(".curve.json")
    curve = checkpoint.read_curve(curve_file) if start else []
    losses = [0.0]
    for step in steps_with_progress(start, steps, lambda: f"loss {np.mean(losses[-20:]):.3f}"):
        # Batches are a function of the step, so that a resumed training sees what an unbroken one sees.
        rng = np.random.default_rng((seed, step))
        views = torch.Generator().manual_seed(seed * 1_000_003 + step)
        chosen = rng.choice(len(families), min(BATCH, len(families)), replace=False, p=weights)
        batch = pixels[torch.as_tensor([int(rng.choice(families[i])) for i in chosen], device=device)]
        x = torch.cat([augmented(batch, SIZE, views), augmented(batch, SIZE, views)])
        with torch.autocast(device, dtype=torch.bfloat16):
            z = learner(x.contiguous(memory_format=torch.channels_last))
        loss = contrast(z, TEMPERATURE)
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * (0.5 + 0.5 * float(np.cos(np.pi * step / steps)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 10) == 0:
            curve.append((step + 1, float(np.mean(losses[-50:]))))
        if (step + 1) % 200 == 0 or step + 1 == steps:
            checkpoint.write_curve(curve_file, curve)
            checkpoint.save(saved, step + 1, learner, [optimiser])
    return learner.eval(), curve


def features(spec: ModelSpec, stimuli: Sequence[Stimulus]) -> Float[np.ndarray, "n d"]:
    """Rows of the last feature map, averaged over space, as a run of conceptprobe reads them."""
    rows = np.zeros((len(stimuli), 0), dtype=np.float32)
    for numbers, arrays in spec.load().activations(stimuli, ["final"], ["mean"]):
        block = arrays["final", "mean"]
        rows = rows if rows.shape[1] else np.zeros((len(stimuli), block.shape[1]), dtype=np.float32)
        rows[numbers] = block
    return rows


@dataclass(frozen=True)
class Accuracy:
    """5-NN balanced accuracy of one network, in two ways of sorting pictures."""

    coarse: float
    """CLDR's categories; neighbours among the training glyphs."""
    fine: float
    """The background pool's own categories (animals, plants, tools, ...); neighbours among its other pictures."""


def evaluate(out: Path, bank: Sequence[Emoji], query: Sequence[Emoji], work: Path) -> tuple[Accuracy, list[Accuracy]]:
    """On held-out glyphs: what is stored in `out`, and its random twins."""
    spec = resolve(str(out))
    bank, query = ([e for e in side if e.category] for side in (bank, query))
    pool = pool_categories()
    in_pool = [i for i, e in enumerate(query) if e.code in pool]
    stimuli = [as_stimuli(side, work / "pictures") for side in (bank, query)]

    def accuracy(one: ModelSpec) -> Accuracy:
        x, y = (features(one, side) for side in stimuli)
        coarse = knn_balanced_accuracy(x, [e.category for e in bank], y, [e.category for e in query])
        fine = neighbours_balanced_accuracy(y[in_pool], [pool[query[i].code] for i in in_pool]) if in_pool else math.nan
        return Accuracy(coarse, fine)

    return accuracy(spec), [accuracy(spec.twin(seed)) for seed in range(TWINS)]


def pool_categories() -> dict[str, str]:
    """Code -> category of the pictures of the background pool, as `pictures.yaml` sorts them."""
    chosen = yaml.safe_load((Path(__file__).parent / "pictures.yaml").read_text("utf-8"))
    return {entry["code"]: entry["category"] for entry in chosen["background"]}


def against_twins(trained: float, twins: Sequence[float]) -> str:
    """One cell of the card."""
    mean = float(np.mean(twins))
    return f"**{trained:.3f}**, random twins {mean:.3f} ({', '.join(f'{t:.3f}' for t in twins)}): {trained / mean:.2f} times"


def main(argv: list[str] | None = None) -> None:
    """The command."""
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--font", type=Path, default=FONT, help="NotoColorEmoji.ttf (default %(default)s)")
    p.add_argument("--annotations", type=Path, required=True, help="CSV of codepoints, name, keywords, category (CLDR)")
    p.add_argument("--out", type=Path, required=True, help="folder for weights, processor and card")
    p.add_argument("--work", type=Path, default=Path("build/zoo"), help="folder for checkpoints (default %(default)s)")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default %(default)s")
    p.add_argument("--steps", type=int, default=1500, help="default %(default)s")
    p.add_argument("--threads", type=int, help="CPU threads (default: as many as torch chooses)")
    p.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = p.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    emoji = read_emoji(arguments.font, arguments.annotations)
    make(emoji, held_out_families(), arguments, command_line("zoo.pocket_vision", argv))


def make(emoji: Sequence[Emoji], held_out: frozenset[str], arguments: argparse.Namespace, command: str) -> None:
    """Train, export in float16, evaluate what was exported, write the card."""
    train_set, test_set = split_pictures(emoji, held_out, STORED)
    n_families = len(train_set.families)
    say(f"{len(train_set.emoji):,} glyphs of {n_families:,} families to train on, {len(test_set.families)} held out")
    learner, curve = train(
        train_set, arguments.steps, arguments.seed, arguments.work / "pocket-vision", arguments.device
    )
    out = arguments.out
    shutil.rmtree(out, ignore_errors=True)
    learner.network.to("cpu", memory_format=torch.contiguous_format).half().save_pretrained(out)
    write_text(out / "preprocessor_config.json", processor_json(SIZE))
    bank, query = train_set.first_of_families().emoji, test_set.first_of_families().emoji
    trained, twins = evaluate(out, bank, query, arguments.work / "pocket-vision")
    kinds = sorted(Counter(e.category for e in query if e.category).items())
    n_parameters = sum(q.numel() for q in learner.network.parameters())
    write_card(
        out,
        "pocket-vision",
        what=(
            f"A ResNet of {n_parameters / 1e6:.1f} million parameters that saw emoji and never a word (SimCLR). What it "
            "knows is how drawings look alike; that a dove stands for a soul it can have from nowhere."
        ),
        facts={
            "pictures": f"{len(train_set.emoji):,} glyphs of {n_families:,} families, Noto Color Emoji (Debian "
            "fonts-noto-color-emoji, SIL OFL 1.1)",
            "held out": f"{len(test_set.families)} families (`zoo/held_out.txt`), and every near duplicate of them",
            "input": f"{SIZE} x {SIZE} RGB on white",
            "steps": f"{arguments.steps:,} of two views of {BATCH} families each, seed {arguments.seed}",
            "optimiser": f"AdamW {RATE:g}, decay {DECAY:g}, cosine to 0; temperature {TEMPERATURE:g}; bfloat16 autocast",
            "loss": ", ".join(f"{loss:.2f} at {step}" for step, loss in curve[-10:]),
            "**held-out category (CLDR), 5-NN balanced accuracy**": against_twins(
                trained.coarse, [t.coarse for t in twins]
            ),
            "**held-out category (pool), 5-NN balanced accuracy**": against_twins(
                trained.fine, [t.fine for t in twins]
            ),
            "licence of the weights": "CC0-1.0 or Apache-2.0, as you like",
        },
        sections={
            "Evaluation": "Cosine of the spatial mean of the last feature map, centred; the same for the twins; no "
            "training step saw a category. CLDR's nine are told apart by colour and outline alone to a good part (flags, "
            "yellow faces, buttons), which a random network sees; neighbours are looked for among the training glyphs, "
            "one per family. The categories of the background pool are finer kinds of things; neighbours are looked for "
            "among its other pictures.\n\n" + table(("CLDR category", "held out"), kinds),
            "Limits": "One artist's hand: everything is a drawing on a plain ground. No photograph was seen, and sizes, "
            "scenes and texts mean nothing to it. The held-out glyphs are of the same hand.",
        },
        command=command,
    )
    say(f"{out}: {trained}, twins {twins}")


if __name__ == "__main__":
    main()
