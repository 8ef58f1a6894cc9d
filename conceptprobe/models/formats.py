"""The two file formats of a model folder, JSON and safetensors headers, read with errors a person can act on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conceptprobe.errors import CorruptError, MissingError

Shapes = Mapping[str, list[int]]
"""Tensor name -> shape."""

_BUFFERS = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "position_ids",
    "token_type_ids",
    "relative_position_index",
)


def without_prefix(shapes: Shapes, prefix: str, beside: str = "") -> Shapes:
    """The tensors of the base model under their own names, and those of the layer `beside` it.

    A file saved with a head, or with another tower, holds the base model under `prefix.`; saved alone, it has none.
    """
    inside = {n.removeprefix(f"{prefix}."): shape for n, shape in shapes.items() if n.startswith(f"{prefix}.")}
    near = {n: shape for n, shape in shapes.items() if beside and n.startswith(f"{beside}.")}
    return {**inside, **near} if inside else shapes


def count_blocks(shapes: Shapes, path: str) -> int:
    """Blocks whose tensors lie under `path`, in which `*` is a number as well: `encoder.stages.*.layers`."""
    pattern = re.compile(re.escape(path).replace(r"\*", r"\d+") + r"\.\d+(?=\.)")
    return len({match.group() for name in shapes if (match := pattern.match(name))})


def count_parameters(shapes: Shapes) -> int:
    """Numbers that were trained: the statistics of batch norms and tables of positions were not."""
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(_BUFFERS))


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors in a safetensors file; CorruptError when it is cut short or no such file."""
    broken = CorruptError(f"{path} is cut short or not a safetensors file", hint="copy or download the model again")
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 0 < length < 2**30:
                raise broken
            header = json.loads(handle.read(length))
        entries = {k: v for k, v in header.items() if k != "__metadata__"}
        end = max((v["data_offsets"][1] for v in entries.values()), default=0)
        shapes = {k: [int(n) for n in v["shape"]] for k, v in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken from error
    if path.stat().st_size < 8 + length + end:
        raise broken
    return shapes


def read_json(path: Path, missing: str = "") -> dict[str, Any]:
    """A JSON object (a list as {index: entry}); MissingError where there is none, CorruptError where it is no JSON."""
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MissingError(missing or f"no file {path}", hint="a model folder needs config.json") from error
    except (OSError, ValueError) as error:
        raise CorruptError(
            f"{path} cannot be read as JSON: {error}", hint="copy or download the model again"
        ) from error
    if isinstance(read, list):
        return {str(i): entry for i, entry in enumerate(read)}
    if not isinstance(read, dict):
        raise CorruptError(f"{path} holds no JSON object", hint="copy or download the model again")
    return read
