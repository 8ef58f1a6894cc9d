"""docs/models.md: the table of families as a page, from the tables and from what was proved."""

from __future__ import annotations

from collections.abc import Sequence

from conceptprobe.models.families.catalogue import BATCHES, Entry, entries, read_proofs

_TITLES = {
    "text": "Text",
    "image": "Pictures",
    "audio": "Sounds",
    "joint": "Towers trained into one space",
    "vlm": "Image-text generators",
}
_HEAD = """# Models

<!-- Written by `python benchmarks/parity.py --write`; edit models/families/ instead. -->

Every family of transformers models that is read by a row of a table, and what was proved of it. A model of the hub is named
by its id, a local one by its folder; `conceptprobe list models --families` prints this page's table, and `conceptprobe doctor
--model NAME` makes the same proof of one model, with its real weights, on your machine.

A text family that is in no table is explored when it loads, and read in batches of equal length; so is one of pictures, where
config.json says depth and width and nothing but one class token stands before its patches, and it is shown pictures of one
size. Neither has branches, nor the pictures `pooled`; one that cannot be told is refused. Of an encoder-decoder the encoder is
read.
"""
_PROOF = """
## What a number means

Each family was proved on a tiny checkpoint of its own configuration class with weights drawn large (standard deviation about
0.3: with usual ones a mistake in masks or positions hides), saved as a folder and loaded back by its path. Errors are the
largest difference at any site under any pooling, relative to the largest value of the site.

- **as transformers**: rows of this project in eager float32, one stimulus at a time, against the untouched model of
  transformers, called without padding, mask or position ids, its states read by plain hooks and averaged afterwards.
- **batches**: stimuli of several lengths in one batch, padded on the right and on the left, against single ones.
- **fused**: torch's fused attention against eager; empty for a family that runs in eager attention.
- **float64**: float32 as it is run, against the reference in float64.
- **branches**: attn_out and mlp_out have modules, and with the stream they add up to what leaves a block, in the form named.
- **positions**: what would change if position ids were left out under padding on the left. Near zero where a family knows
  only distances between tokens, or where transformers makes the same ids from the mask.

Beside these, every proof counts blocks and the order in which they run, compares the states with transformers' own
hidden_states, and checks begin-of-text tokens, the mask of special tokens and the characters of tokens and spans.
"""


def page() -> str:
    """The whole page."""
    known = entries()
    versions = read_proofs()["versions"]
    said = ", ".join(f"{package} {version}" for package, version in versions.items())
    passed = sum(entry.safe for entry in known)
    parts = [_HEAD, f"\n{passed} of {len(known)} families pass every check" + (f" ({said})." if said else ".") + "\n"]
    for table in dict.fromkeys(entry.table for entry in known):
        parts.append(f"\n## {_TITLES.get(table, table)}\n\n{_table([e for e in known if e.table == table])}\n")
    return "".join([*parts, _PROOF])


_COLUMNS = ("family", "for example", "sites", "attention", "as transformers", "batches", "fused", "float64")


def _table(rows: Sequence[Entry]) -> str:
    columns = (*_COLUMNS, "branches", "positions")
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * 4}{'---:|' * 4}---|---:|"]
    lines += [f"| {' | '.join(_cells(entry))} |" for entry in rows]
    return "\n".join(lines)


def _cells(entry: Entry) -> list[str]:
    name = (
        f"{entry.family} ({' + '.join(key.partition('/')[2] for key in entry.towers)})"
        if entry.towers
        else entry.family
    )
    errors = (entry.error("reading"), entry.error(*BATCHES), entry.error("fused"), entry.error("fused_float64"))
    forms = dict.fromkeys(str(proof["branches"]) for proof in entry.proofs if proof["branches"])
    first = _number(errors[0]) if entry.safe else f"**{entry.proved}**"
    return [
        name,
        f"`{entry.example}`" if entry.example else "",
        ", ".join(entry.sites),
        entry.kernel,
        first,
        *(_number(error) for error in errors[1:]),
        ", ".join(forms),
        _number(entry.error("position_ids")),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"
