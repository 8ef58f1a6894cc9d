"""Train `pocket-lm-series`: a smaller sibling of pocket-lm, kept at log-spaced steps, for the question "when".

    python -m zoo.pocket_lm_series --books books.txt.xz --out conceptprobe/models/zoo/pocket-lm-series --compile

One folder per step beside one tokenizer and one configuration. Step 0 has no weights: it is what the configuration and
the seed give, and is rebuilt from them.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from conceptprobe.errors import CorruptError
from conceptprobe.files import write_text
from zoo.training.bits import model_bits_per_byte
from zoo.training.card import command_line, table, write_card
from zoo.training.language import Recipe, options, prepare, train, untrained
from zoo.training.pocket_language import LIMITS, common_facts, export, read_split, rivals, say

HALF, SEED = "a", 0
RATIO = 4
"""Each kept step is this many times the one before."""
KEPT = 5
"""Steps with weights of their own: the last of the training, and what RATIO leaves of it."""


def recipe(tokens: int) -> Recipe:
    """The shape: a tokenizer as large as pocket-lm's, a third of its width, two thirds of its depth."""
    return Recipe(d_model=96, n_layers=4, n_heads=3, d_mlp=256, tokens=tokens, batch=16, seed=SEED)


def kept_steps(steps: int) -> list[int]:
    """0 and KEPT log-spaced steps that end at `steps`."""
    return sorted({0, *(max(1, steps // RATIO**i) for i in range(KEPT))})


def main(argv: list[str] | None = None) -> None:
    """The command."""
    arguments: argparse.Namespace = options(__doc__.split("\n")[0], 4_194_304, 67_108_864).parse_args(argv)
    tokens = arguments.tokens or (arguments.tokens_cpu if arguments.device == "cpu" else arguments.tokens_gpu)
    plan, out = recipe(tokens), arguments.out
    split = read_split(arguments)
    work = arguments.work / "pocket-lm-series"
    tokenizer, rows = prepare(split.half(HALF), plan, arguments.work)
    keep = kept_steps(plan.steps)

    def kept(step: int, model: LlamaForCausalLM) -> None:
        if step:
            export(model, None, work / f"step-{step}")

    _, curve = train(
        plan, tokenizer, rows, split.held_out, work,
        keep=keep, device=arguments.device, compiled=arguments.compile, kept=kept,
    )  # fmt: skip
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tokenizer.save_pretrained(out)
    measured = []
    for step in keep:
        model = _at(step, plan, work, out)
        say(f"evaluating step {step}")
        bits = model_bits_per_byte(model.to(arguments.device), tokenizer, split.held_out, length=plan.length, fast=True)
        measured.append((step, f"{step * plan.batch * plan.length:,}", f"{bits:.3f}"))
    write_card(
        out,
        "pocket-lm-series",
        what=(
            f"A decoder of {model.num_parameters() / 1e6:.1f} million parameters at {len(keep)} moments of its training, "
            "named `pocket-lm-series@step-N`: when does what appear? The siblings share weights, so agreement between "
            "them is no convergence."
        ),
        facts=common_facts(plan, split, HALF, len(rows), curve) | rivals(split, HALF),
        sections={
            "Held-out bits per byte, exported weights, whole books (bfloat16)": table(
                ("step", "tokens", "bits per byte"), measured
            ),
            "Limits": LIMITS,
        },
        command=command_line("zoo.pocket_lm_series", argv),
    )


def _at(step: int, plan: Recipe, work: Path, out: Path) -> LlamaForCausalLM:
    """The model after `step`, as it is stored; its files are put in place on the way."""
    if step == 0:
        model = untrained(plan)
        model.config.save_pretrained(out)
        write_text(out / "step-0" / "seed.json", json.dumps({"seed": plan.seed}) + "\n")
        return model.eval()
    folder = out / f"step-{step}"
    shutil.copytree(work / f"step-{step}", folder)
    (folder / "config.json").unlink()
    model = untrained(plan)
    stored = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    lacking, unknown = model.load_state_dict(stored, strict=False)  # the head is tied to the embedding, and not stored
    if set(lacking) - {"lm_head.weight"} or unknown:
        raise CorruptError(f"{folder} does not hold the model of this recipe", hint="remove it and train again")
    return model.eval()


if __name__ == "__main__":
    main()
