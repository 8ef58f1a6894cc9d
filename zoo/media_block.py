"""The `media` block at the end of a concept file: one entry a line, and the entries of one modality replaced at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from conceptprobe.errors import UsageError

_ENTRY = "  - {"


def replace_media(text: str, entries: Sequence[Mapping[str, str]]) -> str:
    """A concept file with these entries in the place of all others of their modality, which all of them share.

    Raises UsageError where other keys follow the block, or an entry that stays does not stand on one line.
    """
    head, _, block = re.sub(r"^media:", "\0", text, count=1, flags=re.M).partition("\0")
    if re.search(r"^[A-Za-z]", block, re.M):
        raise UsageError("'media' must be the last key of a concept file", hint="move it to the end")
    old = [line for line in block.splitlines()[1:] if line.strip() and not line.lstrip().startswith("#")]
    own = f"modality: {entries[0]['modality']},"
    stay = [line for line in old if own not in line]
    if wrong := next((line for line in stay if not (line.startswith(_ENTRY) and line.endswith("}"))), None):
        raise UsageError(f"an entry of 'media' does not stand on one line: {wrong.strip()[:60]}")
    at = next((i for i, line in enumerate(old) if own in line), len(stay))
    new = [_ENTRY + ", ".join(f"{k}: {_scalar(k, v)}" for k, v in e.items()) + "}" for e in entries]
    return head.rstrip("\n") + "\n" + "\n".join(["media:", *stay[:at], *new, *stay[at:]]) + "\n"


def _scalar(key: str, value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if key in ("sha256", "caption", "word") else value
