"""The blocks of a network that nobody here has a row for: found by watching the modules of its lists in a forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

Shape = tuple[int, ...]
Call = tuple[int, Shape, Shape]
"""Place in the list, shape of what enters, shape of what leaves."""


@dataclass(frozen=True)
class Trial:
    """What an unknown family is shown, and what a state of its residual stream must look like then."""

    model_type: str
    inputs: Mapping[str, torch.Tensor]
    named: str
    """What a message calls the inputs: `text`, `picture`."""
    keeps: Callable[[Shape], bool]
    """Whether a state of this shape has the layout of a residual stream."""
    hint: str
    """How to add a row for the family."""

    def refused(self, why: str) -> UsageError:
        """The error of a family that cannot be told."""
        return UsageError(f"the family '{self.model_type}' is not in the table, and {why}", hint=self.hint)


@dataclass(frozen=True)
class Found:
    """The list of blocks, and what the network returned."""

    path: str
    shape: Shape
    """Of every state between its members."""
    output: Any = field(repr=False)


def find_blocks(net: nn.Module, trial: Trial, n_layers: int) -> Found:
    """The longest ModuleList whose members run once each, in order, and keep the layout; lists inside of it do not count.

    Raises UsageError where there is no such list or more than one, where config.json says another depth than `n_layers`,
    and where the network does not run on the trial.
    """
    calls, output = _watched(net, trial)
    found = {path: made for path, made in calls.items() if _is_a_stream(made, trial)}
    outer = {p: len(made) for p, made in found.items() if not any(p.startswith(f"{other}.") for other in found)}
    longest = [path for path, n in outer.items() if n == max(outer.values())]
    if len(longest) != 1:
        what = f"{len(longest)} lists of blocks ({', '.join(longest)})" if longest else "no list of blocks"
        raise trial.refused(f"{what} was found in it")
    (path,) = longest
    if outer[path] != n_layers:
        raise trial.refused(
            f"its longest list of blocks, '{path}', has {outer[path]} entries, but config.json says {n_layers}"
        )
    return Found(path, found[path][0][1], output)


def _is_a_stream(calls: list[Call], trial: Trial) -> bool:
    """Members ran once each, in order, and what leaves has the shape of what enters."""
    shapes = {shape for _, *around in calls for shape in around}
    in_order = [place for place, *_ in calls] == list(range(len(calls)))
    return in_order and len(shapes) == 1 and all(trial.keeps(shape) for shape in shapes)


def _watched(net: nn.Module, trial: Trial) -> tuple[dict[str, list[Call]], Any]:
    """{path of a ModuleList: calls of its members}, where there were as many as members; and the output."""
    import torch

    lists = {path: m for path, m in net.named_modules() if isinstance(m, torch.nn.ModuleList) and len(m)}
    calls: dict[str, list[Call]] = {path: [] for path in lists}
    with _hooks(lists, calls), torch.inference_mode():
        try:
            output = net(**trial.inputs)
        except Exception as error:  # code of a family nobody here has seen: it may ask for anything
            raise trial.refused(f"does not run on a {trial.named} alone ({error})") from error
    return {path: made for path, made in calls.items() if len(made) == len(lists[path])}, output


@contextlib.contextmanager
def _hooks(lists: dict[str, nn.ModuleList], calls: dict[str, list[Call]]) -> Iterator[None]:
    handles = [
        member.register_forward_hook(_note(calls[path], place), with_kwargs=True)
        for path, members in lists.items()
        for place, member in enumerate(members)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note(calls: list[Call], place: int) -> Callable[..., None]:
    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        entered = args[0] if args else kwargs.get("hidden_states")
        left = output[0] if isinstance(output, tuple) else output
        calls.append((place, tuple(getattr(entered, "shape", ())), tuple(getattr(left, "shape", ()))))

    return hook
