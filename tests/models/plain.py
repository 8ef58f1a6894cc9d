"""The plain way to activations, as an oracle: one prompt at a time, eager attention, float32, nothing but token ids.

Only the paths of the table of families are shared with the package: no padding, no mask, no position ids, no batches,
no early stop, and pooling written out token by token.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from conceptprobe.models.families.base import all_at_path, at_path
from conceptprobe.models.families.text import TextFamily
from conceptprobe.stimuli.stimulus import Stimulus


class Plain:
    """The network of transformers in a folder, with a hook on every block and branch of its row."""

    def __init__(self, folder: Path, row: TextFamily, attention: str = "eager") -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        whole = getattr(transformers, row.net).from_pretrained(
            folder, attn_implementation=attention, dtype=torch.float32
        )
        self.net = at_path(whole, row.trunk).eval()
        self.blocks = [block for found in all_at_path(self.net, row.blocks) for block in found]
        self.seen: dict[str, torch.Tensor] = {}
        self.blocks[0].register_forward_pre_hook(self._entering, with_kwargs=True)
        behind = at_path(self.net, row.behind_first) if row.behind_first else None
        for i, block in enumerate(self.blocks):
            leaving = behind if behind is not None and i == 0 else block
            leaving.register_forward_hook(functools.partial(self._leaving, f"resid_post.{i}", 1.0))
            scale = at_path(block, row.branch_scale) if row.branch_scale else 1.0
            for kind, path in (("attn_out", row.attn), ("mlp_out", row.mlp)):
                if path:
                    at_path(block, path).register_forward_hook(functools.partial(self._leaving, f"{kind}.{i}", scale))

    def _entering(self, _: Any, args: Any, kwargs: Any) -> None:
        self.seen["embed"] = (args[0] if args else kwargs["hidden_states"]).clone()

    def _leaving(self, site: str, scale: float, _: Any, __: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        self.seen[site] = scale * hidden.clone()  # Falcon adds attention to this very tensor later

    @torch.no_grad()
    def states(self, text: str) -> dict[str, np.ndarray]:
        """{site: [t, d]}, and `pooled` [d] where the library has such an output."""
        ids = torch.tensor([self.tokenizer(text)["input_ids"]])
        self.seen = {"tokens": self.net.get_input_embeddings().weight[ids]}
        out = self.net(input_ids=ids)
        self.seen["final"] = out.last_hidden_state
        found = {site: hidden.reshape(ids.shape[1], -1).numpy() for site, hidden in self.seen.items()}
        if getattr(out, "pooler_output", None) is not None:
            found["pooled"] = out.pooler_output[0].numpy()
        return found

    def rows(
        self, items: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[str]
    ) -> dict[tuple[str, str], np.ndarray]:
        """{(site, pooling): [n, d]}, as a model gives them."""
        rows: dict[tuple[str, str], list[np.ndarray]] = {(s, p): [] for s in sites for p in poolings}
        for item in items:
            states, picked = self.states(item.content), self._picked(item)
            for (site, pooling), made in rows.items():
                hidden = states[site]
                made.append(hidden if site == "pooled" else hidden[picked[pooling]].mean(0))
        return {cell: np.stack(made) for cell, made in rows.items()}

    def _picked(self, item: Stimulus) -> dict[str, list[int]]:
        """{pooling: numbers of the tokens it averages}."""
        coded = self.tokenizer(item.content, return_offsets_mapping=True, return_special_tokens_mask=True)
        content = [i for i, special in enumerate(coded["special_tokens_mask"]) if not special]
        begin, end = item.span or (0, 0)
        inside = [
            i
            for i in content
            if any(begin <= c < end and not item.content[c].isspace() for c in range(*coded["offset_mapping"][i]))
        ]
        outside = [i for i in content if i not in inside]
        return {"concept_span": inside, "context": outside, "last": content[-1:], "mean": content, "cls": [0]}
