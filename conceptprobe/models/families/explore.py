"""A family that is not in the table: its blocks are found by watching a short text pass through the loaded model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from conceptprobe.errors import UsageError
from conceptprobe.models.families.text_base import TextFamily

if TYPE_CHECKING:
    from torch import nn

_SHOWN = (2, 5)
"""Texts and tokens of the trial: a list whose members keep [2, 5, d] keeps [b, t, d]."""
_HINT = "a row in models/families/decoders.py or encoders.py says where its blocks are"

Call = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Place in the list, shape of what enters, shape of what leaves."""


def find_family(net: nn.Module, model_type: str, n_layers: int) -> TextFamily:
    """A row for a family that is not in the table, read off the loaded model.

    The blocks are the longest ModuleList whose members run once each, in order, and keep [b, t, d]; lists inside of them
    do not count. Nothing is assumed of padding, positions or kernels: batches hold texts of one length. Raises UsageError
    where there is no such list or more than one, and where config.json says another depth.
    """
    found = {path: len(calls) for path, calls in _watched(net, model_type).items() if _is_a_stream(calls)}
    outer = {p: n for p, n in found.items() if not any(p.startswith(f"{other}.") for other in found)}
    longest = [path for path, n in outer.items() if n == max(outer.values())]
    if len(longest) != 1:
        what = f"{len(longest)} lists of blocks ({', '.join(longest)})" if longest else "no list of blocks"
        raise UsageError(f"the family '{model_type}' is not in the table, and {what} was found in it", hint=_HINT)
    (path,) = longest
    if outer[path] != n_layers:
        raise UsageError(
            f"the family '{model_type}' is not in the table, and its longest list of blocks, '{path}', has"
            f" {outer[path]} entries, but config.json says {n_layers}",
            hint=_HINT,
        )
    return TextFamily(model_type, path, positions=False, pads=False, sdpa=False)


def _is_a_stream(calls: list[Call]) -> bool:
    """Members ran once each, in order, and what leaves has the shape of what enters: [b, t, d]."""
    shapes = {shape for _, *around in calls for shape in around}
    in_order = [place for place, *_ in calls] == list(range(len(calls)))
    return in_order and len(shapes) == 1 and all(len(s) == 3 and s[:2] == _SHOWN for s in shapes)


def _watched(net: Any, model_type: str) -> dict[str, list[Call]]:
    """{path of a ModuleList: calls of its members}, where each was called as often as it has members."""
    import torch

    lists = {path: m for path, m in net.named_modules() if isinstance(m, torch.nn.ModuleList) and len(m)}
    calls: dict[str, list[Call]] = {path: [] for path in lists}
    ids = torch.arange(_SHOWN[0] * _SHOWN[1], device=net.device).reshape(_SHOWN) % net.config.vocab_size
    with _hooks(lists, calls), torch.inference_mode():
        try:
            net(input_ids=ids, attention_mask=torch.ones_like(ids))
        except Exception as error:  # code of a family nobody here has seen: it may ask for anything
            raise UsageError(
                f"the family '{model_type}' is not in the table, and does not run on a text alone ({error})", hint=_HINT
            ) from error
    return {path: made for path, made in calls.items() if len(made) == len(lists[path])}


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
