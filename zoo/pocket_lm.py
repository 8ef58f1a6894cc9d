"""Train `pocket-lm`: a decoder of 6.8 million parameters, on half of the authors of a shelf of public-domain books.

python -m zoo.pocket_lm --books books.txt.xz --out conceptprobe/models/zoo/pocket-lm --compile
"""

from __future__ import annotations

import argparse

from zoo.training.card import command_line
from zoo.training.language import Recipe, options, token_budget
from zoo.training.pocket_language import make

HALF, SEED = "a", 0


def recipe(tokens: int, seed: int) -> Recipe:
    """The shape shared by pocket-lm and pocket-lm-b."""
    return Recipe(d_model=256, n_layers=6, n_heads=4, d_mlp=688, tokens=tokens, seed=seed)


def main(argv: list[str] | None = None) -> None:
    """The command."""
    arguments: argparse.Namespace = options(__doc__.split("\n")[0], 12_300_000, 250_000_000).parse_args(argv)
    make("pocket-lm", recipe(token_budget(arguments), SEED), HALF, arguments, command_line("zoo.pocket_lm", argv))


if __name__ == "__main__":
    main()
