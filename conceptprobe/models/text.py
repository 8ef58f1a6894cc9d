"""Text models of the transformers library: one forward pass gives every site under every pooling.

The base model runs without its head, stops above the highest wanted block, and hidden states are pooled inside the
hooks, so that only pooled rows leave a batch. Position ids come from the attention mask, so that padding on either
side gives the same numbers.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import ConceptprobeError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.batching import buckets
from conceptprobe.models.blocks import Family, blocks_of, family, find_family
from conceptprobe.models.pooling import check_filled, check_poolings, check_spans, pooling_weights
from conceptprobe.models.tokens import Limits, Padded, encode, pad

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from conceptprobe.models.folder import OwnPooling, TextSpec
    from conceptprobe.stimuli.stimulus import Stimulus

BATCH_TOKENS = 2048
"""Tokens of one batch, padding included: products large enough to be fast, small enough to stay in a cache."""

Rows = dict[tuple[str, Pooling], "Float[np.ndarray, 'b d']"]
Pooled = dict[str, torch.Tensor]


class _Stop(Exception):
    """Leaves the forward pass from inside a hook: no error, the highest wanted block is done."""


class TextModel:
    """A loaded text model; made by `TextSpec.load()` (see loading.py)."""

    def __init__(
        self,
        spec: TextSpec,
        net: Any,
        tokenizer: Any,
        *,
        row: Family | None = None,
        padding_side: str = "right",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """`row` overrides the table of families; `padding_side` and `batch_tokens` change speed, never numbers."""
        self.info = spec.info
        self.sites = spec.sites
        self.net = net
        self.tokenizer = tokenizer
        self.row = row or family(spec.info.family) or find_family(net, spec.info.family, spec.info.n_layers)
        self.blocks = blocks_of(net, self.row, spec.info.n_layers, spec.info.name)
        self.padding_side = padding_side
        self.batch_tokens = batch_tokens
        self._here = threading.local()
        self._own_pooling: OwnPooling | None = spec.own_pooling
        self._pad_id = _pad_id(net.config, tokenizer)
        self._first_position = self._pad_id + 1 if self.row.positions_after_pad else 0
        self._limits = Limits(
            _max_tokens(net.config, self._first_position), vocabulary=len(net.get_input_embeddings().weight)
        )

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], Rows]]:
        """Batches of (row numbers, {(site, pooling): float32 rows}); see the contract in base.py.

        `pooled` is the model's own pooling: the same rows under every pooling asked for. Raises UsageError naming the
        stimulus that is too long, has no span, or has no token to pool.
        """
        check_poolings(poolings)
        check_spans(stimuli, poolings)
        spans = any(p in ("concept_span", "context") for p in poolings)
        coded = encode(self.tokenizer, stimuli, self._limits, needs_offsets=spans)

        def run(numbers: Int[np.ndarray, " b"]) -> tuple[list[int], Rows]:
            rows = [int(n) for n in numbers]
            some = [stimuli[n] for n in rows]
            batch = pad([coded[n] for n in rows], some, pad_id=self._pad_id, side=self.padding_side)
            weights = pooling_weights(poolings, real=batch.real, content=batch.content, in_span=batch.in_span)
            check_filled(some, poolings, weights)
            return rows, self._rows(self._forward(batch, torch.from_numpy(weights), wanted), poolings)

        wanted = set(sites)
        batches = buckets([len(c) for c in coded], self.batch_tokens)
        with self._hooks(wanted), _side_by_side(len(batches), self.net.device) as mapped:
            yield from mapped(run, batches)

    def _rows(self, pooled: Pooled, poolings: Sequence[Pooling]) -> Rows:
        rows: Rows = {}
        for site, values in pooled.items():
            array = values.float().cpu().numpy()
            if not np.isfinite(array).all():
                raise ConceptprobeError(
                    f"'{self.info.name}' gives numbers at {site} that are not finite", hint="the weights may be damaged"
                )
            for i, pooling in enumerate(poolings):
                rows[site, pooling] = array if site == "pooled" else array[:, i]
        return rows

    @torch.inference_mode()
    def _forward(self, batch: Padded, weights: torch.Tensor, wanted: set[str]) -> Pooled:
        """{site: [b, p, d]}; for `pooled` [b, d]."""
        device = self.net.device
        ids, real = torch.from_numpy(batch.ids).to(device), torch.from_numpy(batch.real).to(device)
        weights = weights.to(device)
        found: Pooled = {}

        def keep(site: str, hidden: torch.Tensor) -> None:
            found[site] = torch.bmm(weights, hidden)

        if "tokens" in wanted:
            keep("tokens", self.net.get_input_embeddings().weight[ids])
        inputs = {"input_ids": ids, "attention_mask": real.long()}
        if self.row.positions:
            counted = (real.long().cumsum(1) - 1).clamp(min=0)
            inputs["position_ids"] = counted + self._first_position
        self._here.keep = keep
        with contextlib.suppress(_Stop):
            out = self.net(**inputs)
            if "final" in wanted:
                keep("final", out.last_hidden_state)
            if "pooled" in wanted:
                found["pooled"] = self._pooled(out.last_hidden_state, real)
        return found

    def _pooled(self, hidden: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        if self._own_pooling is not None:
            return own_pooling(hidden, real, self._own_pooling)
        # pooler_output reads position 0, which is padding where a batch is padded on the left.
        first = hidden[torch.arange(len(hidden)), real.int().argmax(1)]
        pooled: torch.Tensor = self.net.pooler(first[:, None])
        return pooled

    @contextlib.contextmanager
    def _hooks(self, wanted: set[str]) -> Iterator[None]:
        """Hooks that pool what enters block 0 and what leaves each wanted block, and stop after the last of them.

        Batches run side by side: a hook finds its own batch through the thread it runs in.
        """
        numbers = [i for i in range(len(self.blocks)) if f"resid_post.{i}" in wanted]
        to_the_end = bool({"final", "pooled"} & wanted)
        last = max(numbers, default=-1)

        def entering(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if "embed" in wanted:
                self._here.keep("embed", args[0] if args else kwargs["hidden_states"])
            if last < 0 and not to_the_end:
                raise _Stop

        def leaving(number: int) -> Callable[[Any, Any, Any], None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                self._here.keep(f"resid_post.{number}", output[0] if isinstance(output, tuple) else output)
                if number == last and not to_the_end:
                    raise _Stop

            return hook

        handles = [self.blocks[0].register_forward_pre_hook(entering, with_kwargs=True)]
        handles += [self.blocks[i].register_forward_hook(leaving(i)) for i in numbers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextlib.contextmanager
def _side_by_side(n: int, device: torch.device) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` that runs batches next to each other, one thread each, in place of many threads within one product.

    The products of a short batch are so small that threads inside them mostly wait for one another: on two busy cores
    this halves the time, on two idle ones it costs nothing.
    """
    threads = torch.get_num_threads()
    workers = min(threads, n) if device.type == "cpu" else 1
    if workers < 2:
        yield map
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def own_pooling(
    hidden: Float[torch.Tensor, "b t d"], real: torch.Tensor, own: OwnPooling
) -> Float[torch.Tensor, "b k"]:
    """Sentence vectors as sentence-transformers makes them: special tokens count, padding does not."""
    mask = real.float()
    order = mask.cumsum(1)
    means = {
        "mean": mask,
        "mean_sqrt_len_tokens": mask,
        "weightedmean": mask * order,
        "cls": mask * (order == 1),
        "lasttoken": mask * (order == mask.sum(1, keepdim=True)),
    }
    parts = []
    for mode in own.modes:
        if mode == "max":
            parts.append(hidden.masked_fill(~real[..., None], float("-inf")).amax(1))
        elif mode in means:
            total = means[mode].sum(1, keepdim=True)
            parts.append(torch.einsum("bt,btd->bd", means[mode], hidden) / total.pow(_POWER.get(mode, 1.0)))
        else:
            raise UsageError(f"no pooling mode named '{mode}' is known", hint="leave the site `pooled` out")
    joined = torch.cat(parts, -1)
    return torch.nn.functional.normalize(joined, dim=-1) if own.normalize else joined


_POWER = {"mean_sqrt_len_tokens": 0.5}


def _max_tokens(config: Any, first_position: int) -> int | None:
    """Tokens one text may have; None where the family knows no limit."""
    rope = getattr(config, "rope_parameters", None) or {}
    positions = getattr(config, "max_position_embeddings", None)
    if rope.get("rope_type") == "longrope":
        # Past this length its rotation depends on the longest text of a batch: one text would change another's rows.
        positions = rope.get("original_max_position_embeddings", positions)
    return positions - first_position if isinstance(positions, int) and positions > 0 else None


def _pad_id(config: Any, tokenizer: Any) -> int:
    """The family's own padding id, else the end of text, else 0: padding is masked, so any id in the table will do."""
    for candidate in (
        getattr(config, "pad_token_id", None),
        tokenizer.pad_token_id,
        getattr(config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        # Some configurations keep -1 or a list; an id past the table would need the embeddings resized.
        if isinstance(candidate, int) and 0 <= candidate < config.vocab_size:
            return candidate
    return 0
