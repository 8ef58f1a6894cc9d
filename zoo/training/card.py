"""A model's folder in the zoo: hashes of its files, and the card that says what it is."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from conceptprobe.files import write_text

HASHES = "sha256.json"


def write_card(
    folder: Path,
    name: str,
    *,
    what: str,
    facts: Mapping[str, str],
    sections: Mapping[str, str],
    command: str,
) -> None:
    """README.md and sha256.json of a finished folder; the hashes cover every other file in it.

    `facts` becomes a table, `sections` headings with Markdown under them. sha256.json is written last: a folder without
    it is not whole.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (HASHES, "README.md"))
    for path in files:
        path.chmod(0o644)  # safetensors makes its files private
    digests = {p.relative_to(folder).as_posix(): sha256(p.read_bytes()).hexdigest() for p in files}
    (folder / HASHES).unlink(missing_ok=True)
    parts = [
        f"# {name}\n\n{what}\n",
        table(("", ""), list(facts.items())),
        *(f"## {title}\n\n{text}\n" for title, text in sections.items()),
        "## Files\n",
        table(
            ("file", "bytes", "sha256"), [(n, f"{(folder / n).stat().st_size:,}", f"`{d}`") for n, d in digests.items()]
        ),
        f"Made by\n\n    {command}\n\nwith {versions()}.",
    ]
    write_text(folder / "README.md", "\n".join(parts) + "\n")
    write_text(folder / HASHES, json.dumps(digests, indent=2) + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, and an empty line after it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def versions() -> str:
    """What decides the numbers beside the code."""
    packages = ("torch", "transformers", "tokenizers", "numpy")
    return ", ".join([f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)])


def command_line(module: str, arguments: Sequence[str] | None = None) -> str:
    """The command as typed, with the names of files instead of this machine's folders."""
    typed = sys.argv[1:] if arguments is None else arguments
    hidden = {"--work", "--threads"}
    kept: list[str] = []
    skip = False
    for word in typed:
        if skip or word in hidden:
            skip = word in hidden
            continue
        kept.append(Path(word).name if Path(word).is_absolute() else word)
    return " ".join(["python -m", module, *kept])
