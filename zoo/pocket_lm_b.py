"""Train `pocket-lm-b`: pocket-lm's sibling, on the other half of the authors, with its own tokenizer and another seed.

    python -m zoo.pocket_lm_b --books books.txt.xz --out conceptprobe/models/zoo/pocket-lm-b --compile

The two share a shape and no book, so that agreement between them is agreement of two readers, not of one text.
"""

from __future__ import annotations

import argparse

from zoo.pocket_lm import recipe
from zoo.training.card import command_line
from zoo.training.language import options, token_budget
from zoo.training.pocket_language import make

HALF, SEED = "b", 1


def main(argv: list[str] | None = None) -> None:
    """The command."""
    arguments: argparse.Namespace = options(__doc__.split("\n")[0], 12_300_000, 250_000_000).parse_args(argv)
    make("pocket-lm-b", recipe(token_budget(arguments), SEED), HALF, arguments, command_line("zoo.pocket_lm_b", argv))


if __name__ == "__main__":
    main()
