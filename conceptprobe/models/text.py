"""Text models of the transformers library: one forward pass gives every site under every pooling.

The base model runs without its head and stops above the highest wanted block; where no token sees a later one, it reads
no further than the span that is asked for. Hidden states are pooled inside the hooks, so that only pooled rows leave a
batch. Position ids come from the attention mask, so that padding on either side gives the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.batching import buckets, fair_budget, side_by_side, workers_on
from conceptprobe.models.families.base import at_path, blocks_of, branches_of
from conceptprobe.models.families.explore import find_family
from conceptprobe.models.families.text import TextFamily, family
from conceptprobe.models.families.vlm import VLM_FAMILIES, within
from conceptprobe.models.hooks import Pooled, Reader, Rows, as_rows
from conceptprobe.models.loading import configuration, network, quiet, tokenizer_of
from conceptprobe.models.pooling import check_asked, check_filled, pooling_weights
from conceptprobe.models.sites import BRANCHES
from conceptprobe.models.tokens import Limits, Padded, encode, pad, up_to_span

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from conceptprobe.models.text_folder import OwnPooling, TextSpec
    from conceptprobe.stimuli.stimulus import Stimulus

BATCH_TOKENS = 2048
"""Tokens of one batch, padding included: products large enough to be fast, small enough to stay in a cache."""


def load_text_model(spec: TextSpec) -> TextModel:
    """Load a text model, or draw its twin.

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs; what `device_of` raises.
    """
    known = family(spec.info.family)
    row = known or TextFamily(spec.info.family, "", sdpa=False)
    with quiet():
        config = configuration(spec)
        tokenizer = tokenizer_of(spec)
        settings = {"add_pooling_layer": spec.has_pooler} if row.switch else {}
        held = within(VLM_FAMILIES[spec.generator], row) if spec.generator else row
        net, projection = network(spec, held, config, **settings)
        net.config.use_cache = False
    return TextModel(spec, net, tokenizer, row=held if known else None, projection=projection)


class TextModel:
    """A loaded text model; made by `TextSpec.load()`."""

    def __init__(
        self,
        spec: TextSpec,
        net: Any,
        tokenizer: Any,
        *,
        row: TextFamily | None = None,
        projection: torch.nn.Module | None = None,
        padding_side: str = "right",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """`row` overrides the table of families; `projection` follows the pooled output of a tower.

        `padding_side` and `batch_tokens` change speed, never numbers.
        """
        self.info = spec.info
        self.sites = spec.sites
        self.poolings = spec.poolings
        self.net = net
        self.tokenizer = tokenizer
        self.row = row or family(spec.info.family) or find_family(net, spec.info.family, spec.info.n_layers)
        self.blocks = blocks_of(net, self.row, spec.info.n_layers, spec.info.name)
        self.reader = Reader(_stream(net, self.blocks, self.row), branches_of(self.blocks, self.row, spec.info.name))
        self.padding_side = padding_side
        self._scales = _branch_scales(self.blocks, self.row)
        self.batch_tokens = batch_tokens
        self._causal = self.row.causal and _looks_back_only(net.config)
        self._both_ways = bool(self.row.both_ways) and bool(getattr(net.config, self.row.both_ways))
        self._own_pooling: OwnPooling | None = spec.own_pooling
        self._projection = projection or torch.nn.Identity()
        self._pad_id = _pad_id(net.config, tokenizer, like_tokenizer=self.row.full_length)
        self._first_position = self._pad_id + 1 if self.row.positions_after_pad else 0
        longest = longest_text(net.config, tokenizer, self._first_position, spec.max_seq_length)
        self._length = longest if self.row.full_length else None
        self._limits = Limits(longest, vocabulary=len(net.get_input_embeddings().weight))
        self._options = spec.options
        self.cut = 0
        """Of the texts it was last shown, how many were cut to the length it takes."""

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], Rows]]:
        """Batches of (row numbers, {(site, pooling): float32 rows}); see the contract in base.py.

        `pooled` is the model's own pooling: the same rows under every pooling asked for. Raises UsageError naming the
        stimulus that is too long, has no span, or has no token to pool.
        """
        check_asked(self, stimuli, poolings)
        spans = any(p in ("concept_span", "context") for p in poolings)
        coded = encode(self.tokenizer, tuple(stimuli), self._limits, needs_offsets=spans, options=self._options)
        self.cut = sum(c.cut > 0 for c in coded)
        if self._causal and set(poolings) == {"concept_span"} and "pooled" not in sites:
            coded = [up_to_span(c, s.span) if s.span else c for c, s in zip(coded, stimuli, strict=True)]

        def run(numbers: Int[np.ndarray, " b"]) -> tuple[list[int], Rows]:
            rows = [int(n) for n in numbers]
            some = [stimuli[n] for n in rows]
            side = self.padding_side if self.row.pads_left else "right"
            batch = pad([coded[n] for n in rows], some, pad_id=self._pad_id, side=side, length=self._length)
            weights = pooling_weights(poolings, real=batch.real, content=batch.content, in_span=batch.in_span)
            check_filled(some, poolings, weights)
            return rows, as_rows(self._forward(batch, torch.from_numpy(weights), wanted), self.info.name, poolings)

        wanted = set(sites)
        lengths = [self._length or len(c) for c in coded]
        budget = fair_budget(lengths, self.batch_tokens, workers_on(self.net.device))
        batches = buckets(lengths, budget, alike=not self.row.pads)
        with self.reader.reading(wanted), side_by_side(len(batches), self.net.device) as mapped:
            yield from mapped(run, batches)

    @torch.inference_mode()
    def _forward(self, batch: Padded, weights: torch.Tensor, wanted: set[str]) -> Pooled:
        """{site: [b, p, d]}; for `pooled` [b, d]."""
        device = self.net.device
        ids, real = torch.from_numpy(batch.ids).to(device), torch.from_numpy(batch.real).to(device)
        weights = weights.to(device)
        found: Pooled = {}

        def keep(site: str, hidden: torch.Tensor) -> None:
            # Averages are made in float32 whatever the states come in; a model over several devices leaves them anywhere.
            # Some feed-forward layers see the tokens of a batch in one row.
            states = hidden.float().reshape(*ids.shape, -1)
            found[site] = torch.bmm(weights.to(hidden.device), states) * self._scales.get(site, 1.0)

        if "tokens" in wanted:
            keep("tokens", self.net.get_input_embeddings().weight[ids])
        inputs = {"input_ids": ids}
        if not self.row.full_length:
            inputs["attention_mask"] = _all_of(real, self.net.dtype) if self._both_ways else real.long()
        if self.row.positions:
            counted = (real.long().cumsum(1) - 1).clamp(min=0)
            inputs["position_ids"] = counted + self._first_position
        try:
            out = self.reader.forward(self.net, inputs, keep)
        except (IndexError, RuntimeError) as error:
            if not _BEYOND_A_TABLE.search(str(error)):
                raise
            raise UsageError(
                f"'{self.info.name}' cannot read a text of {ids.shape[1]} tokens ({error})",
                hint="its configuration promises more than its tables hold: shorten the text",
            ) from error
        if "final" in wanted:
            keep("final", out.last_hidden_state)
        if "pooled" in wanted:
            found["pooled"] = self._pooled(out.last_hidden_state, ids, real)
        lacking = sorted(wanted - found.keys())
        if lacking:
            raise UsageError(
                f"'{self.info.name}' ran, but not through {lacking[0]}",
                hint="this checkpoint computes it otherwise than its family does: leave that site out",
            )
        return found

    def _pooled(self, hidden: torch.Tensor, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        if self._own_pooling is not None:
            return own_pooling(hidden, real, self._own_pooling)
        # The library reads fixed positions, which are padding where a batch is padded on the left.
        at = _READ_AT[self.row.reads_at](ids, real, self.net.config)
        picked = hidden[torch.arange(len(hidden)), at]
        head = at_path(self.net, self.row.head) if self.row.head else torch.nn.Identity()
        pooled: torch.Tensor = self._projection(head(picked[:, None]).flatten(1))
        return pooled


def _all_of(real: torch.Tensor, dtype: torch.dtype) -> Float[torch.Tensor, "b 1 t t"]:
    """A mask to be added to scores: every token sees every one that is no padding."""
    b, t = real.shape
    mask = torch.zeros(b, 1, t, t, dtype=dtype, device=real.device)
    return mask.masked_fill(~real[:, None, None, :], torch.finfo(dtype).min)


def _end_of_text(ids: torch.Tensor, real: torch.Tensor, config: Any) -> torch.Tensor:
    """Position of the first end-of-text token of each row; UsageError where a tokenizer writes none."""
    if config.eos_token_id == _LEGACY_EOS:
        return ids.masked_fill(~real, -1).argmax(1)
    ends = (ids == config.eos_token_id) & real
    if not bool(ends.any(1).all()):
        raise UsageError(
            "the tokenizer writes no end-of-text token, which the pooled output of this model is read at",
            hint="leave the site `pooled` out, or save the tokenizer that belongs to the model",
        )
    return ends.int().argmax(1)


_BEYOND_A_TABLE = re.compile(r"index .*out of (range|bounds)|index out of range")
"""What torch says where a table of positions ends before config.json says so."""

_LEGACY_EOS = 2
"""The first CLIPs say 2 in config.json whatever their tokenizer has; there the highest id ends a text."""

_READ_AT: dict[str, Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]] = {
    "first": lambda ids, real, config: real.int().argmax(1),
    "last": lambda ids, real, config: torch.full((len(ids),), ids.shape[1] - 1, device=ids.device),
    "eos": _end_of_text,
}
"""The column `reads_at` of the table of families: (ids, real, config) -> position in each row."""


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


def _stream(net: Any, blocks: list[torch.nn.Module], row: TextFamily) -> list[torch.nn.Module]:
    """Modules whose outputs are `resid_post.i`: the blocks, but for a module behind the first one.

    Its first argument is what entered the first block, so it stands for that block on both sides.
    """
    behind = at_path(net, row.behind_first) if row.behind_first else None
    return blocks if behind is None else [behind, *blocks[1:]]


def _branch_scales(blocks: Sequence[torch.nn.Module], row: TextFamily) -> dict[str, float]:
    """{`attn_out.i`, `mlp_out.i`: what the branch is multiplied by}; nothing where the family has no such number."""
    numbered = enumerate(blocks if row.branch_scale else ())
    return {f"{kind}.{i}": float(at_path(b, row.branch_scale)) for i, b in numbered for kind in BRANCHES}


def _looks_back_only(config: Any) -> bool:
    """Whether the checkpoint is as causal as its family: some embedding models are decoders that look both ways."""
    return getattr(config, "is_causal", True) and not getattr(config, "use_bidirectional_attention", False)


def longest_text(config: Any, tokenizer: Any, first_position: int, max_seq_length: int | None) -> int | None:
    """Tokens one text may have, all that is put around it included; None where nothing says so.

    The least of three: the positions of the network, the length its tokenizer was saved with, and the one a
    sentence-transformers folder states. All of them cut texts there when a model is used as published, and most sentence
    encoders saw nothing longer in training.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    positions = getattr(config, "max_position_embeddings", None)
    if rope.get("rope_type") == "longrope":
        # Past this length its rotation depends on the longest text of a batch: one text would change another's rows.
        positions = rope.get("original_max_position_embeddings", positions)
    stated = [positions - first_position] if isinstance(positions, int) and positions > 0 else []
    # A tokenizer that was saved without a length says 1e30; one so large is no length that anybody chose.
    said = [n for n in (tokenizer.model_max_length, max_seq_length) if n is not None and 0 < n < _UNBOUNDED]
    return min((int(n) for n in (*stated, *said)), default=None)


_UNBOUNDED = 1e9


def _pad_id(config: Any, tokenizer: Any, *, like_tokenizer: bool = False) -> int:
    """The family's own padding id, else the end of text, else 0: padding is masked, so any id in the table will do.

    Where padding is attended to, it must be the tokenizer's (`like_tokenizer`).
    """
    own = getattr(config, "pad_token_id", None)
    for candidate in (
        *((tokenizer.pad_token_id, own) if like_tokenizer else (own, tokenizer.pad_token_id)),
        getattr(config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        # Some configurations keep -1 or a list; an id past the table would need the embeddings resized.
        if isinstance(candidate, int) and 0 <= candidate < config.vocab_size:
            return candidate
    return 0
