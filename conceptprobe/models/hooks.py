"""Reading hidden states while a network runs: what enters block 0, what leaves wanted blocks and their branches, no further.

Pooling happens inside the hooks, so that whole hidden states never leave a batch.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.errors import ConceptprobeError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.sites import BRANCHES

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

Rows = dict[tuple[str, Pooling], "Float[np.ndarray, 'b d']"]
"""(site, pooling) -> what leaves a batch."""
Pooled = dict[str, "torch.Tensor"]
"""Site -> [b, p, d], one row per pooling; for `pooled` [b, d]."""
Keep = Callable[[str, "torch.Tensor"], None]
"""(site, hidden state) -> None: what to do with a hidden state."""


_OTHER_DTYPE = re.compile(r"same dtype|not implemented for '|Input type .* and (weight|bias) type|expected scalar type")
"""What torch says where two dtypes meet, or one is not known to a kernel."""


class Stop(Exception):
    """Leaves the forward pass from inside a hook: no error, the highest wanted block is done."""


class Reader:
    """Hooks on the blocks of one network, and on the modules in them whose outputs are `attn_out.i` and `mlp_out.i`.

    Batches run side by side, one thread each: a hook finds its own batch through the thread it runs in.
    """

    def __init__(self, blocks: Sequence[torch.nn.Module], branches: Mapping[str, torch.nn.Module]) -> None:
        self.blocks = blocks
        self.branches = branches
        self._here = threading.local()

    @contextlib.contextmanager
    def reading(self, wanted: Set[str]) -> Iterator[None]:
        """While open, every `forward` hands what is wanted of `embed`, `resid_post.i` and branches to its `keep`."""
        inner = [site for site in self.branches if site in wanted]
        to_the_end = bool({"final", "pooled"} & wanted)
        last = max((int(site.rpartition(".")[2]) for site in wanted if _is_in_block(site)), default=-1)

        def entering(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if "embed" in wanted:
                self._here.keep("embed", args[0] if args else kwargs["hidden_states"])
            if last < 0 and not to_the_end:
                raise Stop

        def leaving(site: str) -> Callable[[Any, Any, Any], None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                if site in wanted:
                    self._here.keep(site, output[0] if isinstance(output, tuple) else output)
                if site == f"resid_post.{last}" and not to_the_end:
                    raise Stop

            return hook

        through = [i for i in range(len(self.blocks)) if i == last or f"resid_post.{i}" in wanted]
        handles = [self.blocks[0].register_forward_pre_hook(entering, with_kwargs=True)]
        handles += [self.blocks[i].register_forward_hook(leaving(f"resid_post.{i}")) for i in through]
        handles += [self.branches[site].register_forward_hook(leaving(site)) for site in inner]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def forward(self, net: Callable[..., Any], inputs: dict[str, torch.Tensor], keep: Keep) -> Any:
        """The output of the network, or None where nothing above the highest wanted block is asked for.

        Raises UsageError where transformers computes a part of the network in another dtype than it was loaded in.
        """
        self._here.keep = keep
        try:
            return net(**inputs)
        except Stop:
            return None
        except RuntimeError as error:
            if not _OTHER_DTYPE.search(str(error)):
                raise
            raise UsageError(
                f"transformers does not run this model in the dtype asked for ({str(error).splitlines()[0]})",
                hint="--dtype float32 is what every family runs in",
            ) from error


def _is_in_block(site: str) -> bool:
    return site.partition(".")[0] in ("resid_post", *BRANCHES)


def as_rows(found: Pooled, model: str, poolings: Sequence[Pooling]) -> Rows:
    """float32 rows of each site, [b, p, d] taken apart by pooling; `pooled`, [b, d], is the same under every one.

    Raises ConceptprobeError where a number is not finite.
    """
    rows: Rows = {}
    for site, values in found.items():
        array = values.float().cpu().numpy()
        if not np.isfinite(array).all():
            raise ConceptprobeError(
                f"'{model}' gives numbers at {site} that are not finite",
                hint="the weights may be damaged, or the numbers out of the range of float16 where that was asked for",
            )
        for i, pooling in enumerate(poolings):
            rows[site, pooling] = array if site == "pooled" else array[:, i]
    return rows
