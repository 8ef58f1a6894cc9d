"""The reference: the untouched transformers model of the same folder, eager, one stimulus at a time.

No padding, no mask, no position ids, nothing stopped early and nothing pooled inside a hook: whole hidden states are read
by plain hooks where the row of the family says, and averaged afterwards over lists of positions. What differs by modality
is `Show`: how a stimulus becomes the inputs of the network, and which positions each pooling averages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from conceptprobe.models.base import Pooling
from conceptprobe.models.families.base import Family, all_at_path, at_path, eager_fails
from conceptprobe.models.loading import configuration, device_of, quiet
from conceptprobe.models.sites import BRANCHES

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus

Rows = dict[tuple[str, Pooling], "np.ndarray[Any, Any]"]
"""(site, pooling) -> [n, d], one row per stimulus."""
Grid = tuple[int, ...]
"""Positions of a state: (t,), or of a map (height, width)."""
Places = list[int] | slice | Callable[[Grid], list[int]]
"""Positions that a pooling averages; a function of the grid where that differs from site to site."""


@dataclass(frozen=True)
class Prepared:
    """One stimulus, ready for the network: a batch of one."""

    inputs: dict[str, torch.Tensor]
    pools: Mapping[Pooling, Places]
    """A pooling is left out where this stimulus has none."""
    whole: str = ""
    """Sites that begin so are averaged over all their positions, whatever the pooling."""


@dataclass
class Pass:
    """What one stimulus left behind in the reference. States are positions x width, on the CPU."""

    states: dict[str, torch.Tensor] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    pooled: torch.Tensor | None = None
    theirs: list[torch.Tensor] = field(default_factory=list)
    """transformers' own hidden_states; empty where the model returns none."""
    ran: list[int] = field(default_factory=list)
    """Numbers of the blocks, in the order in which they ran."""
    norms: list[list[tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=list)
    """Of each block, (input, output) of every norm in it."""
    blocks: dict[int, torch.Tensor] = field(default_factory=dict)
    """What leaves a block, where something runs between it and the next."""

    entered: dict[int, torch.Tensor] = field(default_factory=dict)
    """What enters a block, where that is another shape than what left the one before: stages merge patches."""

    def keep(self, site: str, hidden: torch.Tensor) -> None:
        """A hidden state, and how its positions lie."""
        self.states[site] = flat(hidden)
        self.grids[site] = tuple(hidden.shape[2:]) if hidden.ndim == 4 else (self.states[site].shape[0],)

    def stream(self, i: int) -> torch.Tensor:
        """What enters block i."""
        return self.entered[i] if i in self.entered else self.states[f"resid_post.{i - 1}" if i else "embed"]

    def left(self, i: int) -> torch.Tensor:
        """What leaves block i itself."""
        return self.blocks[i] if i in self.blocks else self.states[f"resid_post.{i}"]


class Show(ABC):
    """What a modality adds to the reference; made for one model."""

    between: ClassVar[bool] = False
    """Something is added to the residual stream between two blocks."""

    def __init__(self, spec: Any, row: Any, net: Any) -> None:
        """`net` holds the blocks."""
        self.spec = spec
        self.row = row
        self.net = net

    @abstractmethod
    def __call__(self, stimulus: Stimulus) -> Prepared:
        """The inputs and the positions of one stimulus."""

    @abstractmethod
    def pooled(self, out: Any) -> torch.Tensor:
        """The model's own pooled output [d], from what transformers returns for one stimulus."""

    @staticmethod
    def row_of(spec: Any, model: Any) -> Any:
        """The row that says where blocks and branches of a loaded model are."""
        return model.row

    def called(self, whole: Any, runs: Any) -> Any:
        """What is called, of what was loaded (`whole`); `runs` is the part the row names, or a tower with its map."""
        return runs

    def watched(self, seen: Pass) -> list[Any]:
        """Hooks on what is read beside the blocks."""
        return []

    @staticmethod
    def settings(row: Any) -> Mapping[str, Any]:
        """Entries of the configuration that training alone wants."""
        return {}

    def final(self, last: torch.Tensor) -> torch.Tensor:
        """The site `final` [t, d], of the last hidden state that transformers returns [t, d]."""
        return last

    def scale(self, block: Any, kind: str) -> Any:
        """What the output of a branch is multiplied by before it is added, where no module does that."""
        return 1.0

    def leaving(self, blocks: Sequence[Any]) -> Sequence[Any]:
        """The modules whose outputs are `resid_post.i`."""
        return blocks


class PlainModel:
    """The reference of one model in one dtype (`float32` or `float64`)."""

    def __init__(self, spec: Any, row: Family, show: type[Show], dtype: str) -> None:
        """Loads it anew. Raises what transformers raises."""
        with quiet():
            whole, runs, self.net = _untouched(spec, row, show.settings(row), dtype)
            self.show = show(spec, row, self.net)
            self.runs = self.show.called(whole, runs)
        self.row = row
        self.blocks: list[Any] = [block for found in all_at_path(self.net, row.blocks) for block in found]
        self._has_pooled = "pooled" in spec.sites

    @torch.inference_mode()
    def run(self, stimulus: Stimulus) -> tuple[Pass, Prepared]:
        """One forward pass, from end to end."""
        seen = Pass(norms=[[] for _ in self.blocks])
        prepared = self.show(stimulus)
        inputs = {name: _placed(value, self.net) for name, value in prepared.inputs.items()}
        handles = self._hooked(seen)
        try:
            out = self.runs(**inputs, output_hidden_states=True)
        finally:
            for handle in handles:
                handle.remove()
        seen.keep("final", out.last_hidden_state)
        seen.states["final"] = self.show.final(seen.states["final"])
        if "input_ids" in inputs:
            seen.keep("tokens", self.net.get_input_embeddings().weight[inputs["input_ids"]])
        seen.theirs = [flat(hidden) for hidden in getattr(out, "hidden_states", None) or ()]
        if self._has_pooled:
            seen.pooled = self.show.pooled(out).cpu()
        return seen, prepared

    def _hooked(self, seen: Pass) -> list[Any]:
        def entering(i: int) -> Callable[..., None]:
            def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                state = args[0] if args else kwargs["hidden_states"]
                if i == 0:
                    seen.keep("embed", state)
                elif self.show.between or flat(state).shape != seen.states[f"resid_post.{i - 1}"].shape:
                    seen.entered[i] = flat(state)

            return hook

        def leaving(site: str, scale: Any) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                seen.keep(site, (output[0] if isinstance(output, tuple) else output) * scale)

            return hook

        def running(i: int, keep: bool) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                seen.ran.append(i)
                if keep:
                    seen.blocks[i] = flat(output[0] if isinstance(output, tuple) else output)

            return hook

        def norming(i: int) -> Callable[..., None]:
            def hook(_: Any, args: tuple[Any, ...], output: Any) -> None:
                if args and isinstance(output, torch.Tensor):
                    seen.norms[i].append((flat(args[0]), flat(output)))

            return hook

        handles = self.show.watched(seen)
        for i, (block, last) in enumerate(zip(self.blocks, self.show.leaving(self.blocks), strict=True)):
            handles.append(block.register_forward_pre_hook(entering(i), with_kwargs=True))
            handles.append(block.register_forward_hook(running(i, last is not block)))
            handles.append(last.register_forward_hook(leaving(f"resid_post.{i}", 1.0)))
            for kind, path in zip(BRANCHES, (self.row.attn, self.row.mlp), strict=True):
                if path:
                    hook = leaving(f"{kind}.{i}", self.show.scale(block, kind))
                    handles.append(at_path(block, path).register_forward_hook(hook))
            norms = [m for m in block.modules() if "norm" in type(m).__name__.lower()]
            handles += [norm.register_forward_hook(norming(i)) for norm in norms]
        return handles


def flat(hidden: torch.Tensor) -> torch.Tensor:
    """A copy, on the CPU, of the only entry of a batch as positions x width; in a map, places in space are positions."""
    one = hidden.detach().to("cpu", copy=True)  # some models add to this very tensor later
    if one.ndim == 4:
        one = one.flatten(2).mT
    return one[0] if one.ndim == 3 else one


def pooled_rows(passes: Sequence[tuple[Pass, Prepared]], sites: Sequence[str], poolings: Sequence[Pooling]) -> Rows:
    """float64 averages over the positions of each pooling, one row per stimulus."""

    def row(seen: Pass, prepared: Prepared, site: str, pooling: Pooling) -> np.ndarray[Any, Any]:
        if site == "pooled" and seen.pooled is not None:
            return seen.pooled.double().numpy()
        if prepared.whole and site.startswith(prepared.whole):
            return seen.states[site].double().mean(0).numpy()
        places = prepared.pools[pooling]
        picked = places(seen.grids[site]) if callable(places) else places
        return seen.states[site][picked].double().mean(0).numpy()

    return {(s, p): np.stack([row(seen, prepared, s, p) for seen, prepared in passes]) for s in sites for p in poolings}


def _untouched(spec: Any, row: Family, changes: Mapping[str, Any], dtype: str) -> tuple[Any, Any, Any]:
    """(what is loaded, what is called, what holds the blocks) by transformers' own from_pretrained, with nothing fused."""
    import transformers

    wanted = row.projection if spec.projected else None
    kind = getattr(transformers, wanted.net if wanted else row.net)
    settings: dict[str, Any] = dict(changes)
    if spec.part or len(spec.folders) > 1:  # a tower's part of config.json; moments of training share one config.json
        settings = {"config": configuration(spec)}
        for name, value in changes.items():
            setattr(settings["config"], name, value)
    if spec.options.device_map:
        settings["device_map"] = spec.options.device_map
    whole = kind.from_pretrained(
        spec.folders[0],
        attn_implementation="sdpa" if eager_fails(row, configuration(spec)) else "eager",
        experts_implementation="eager",
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        **settings,
    ).eval()
    if not spec.options.device_map:
        whole = whole.to(device_of(spec.options))
    if wanted:
        return whole, whole, at_path(at_path(whole, wanted.trunk), row.trunk)
    net = at_path(whole, row.trunk)
    return whole, net, net


def _placed(value: torch.Tensor, net: Any) -> torch.Tensor:
    kind = net.dtype if value.is_floating_point() else value.dtype
    return value.to(next(net.parameters()).device, kind)
