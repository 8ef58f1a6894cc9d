"""Training checkpoints in safetensors: weights and the state of every optimiser, whole or not there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from conceptprobe.files import replacing, write_text


def save(path: Path, step: int, model: torch.nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> None:
    """Write what `restore` needs to go on after `step`."""
    tensors = {"step": torch.tensor(step)}
    tensors |= {f"model/{name}": p.detach().contiguous() for name, p in _state(model).items()}
    for i, optimiser in enumerate(optimisers):
        for j, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimiser/{i}/{j}/{key}"] = torch.as_tensor(value).contiguous()
    with replacing(path) as temporary:
        save_file(tensors, temporary)


def restore(path: Path, model: torch.nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    """Put a checkpoint back in place; the step it was written after, or 0 where there is none."""
    if not path.is_file():
        return 0
    tensors = load_file(path)
    with torch.no_grad():
        for name, value in _state(model).items():
            value.copy_(tensors[f"model/{name}"])
    for i, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            kind, *rest = name.split("/")
            if kind == "optimiser" and rest[0] == str(i):
                state.setdefault(int(rest[1]), {})[rest[2]] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return int(tensors["step"])


def _state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers; tied ones once, because safetensors stores no tensor twice."""
    parameters = dict(model.named_parameters())
    kept = model.state_dict().keys()
    return parameters | {name: b for name, b in model.named_buffers() if name in kept}


def read_curve(path: Path) -> list[tuple[int, float]]:
    """(step, loss) rows kept beside a checkpoint; none where there is no file."""
    return [(int(step), float(loss)) for step, loss in json.loads(path.read_text())] if path.is_file() else []


def write_curve(path: Path, curve: Sequence[tuple[int, float]]) -> None:
    """Keep the rows, so that the card of a resumed training has the whole curve."""
    write_text(path, json.dumps(curve) + "\n")
