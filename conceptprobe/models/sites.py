"""Names of sites: ours, and TransformerLens' hook points for the same places.

| site | what it is | TransformerLens |
|---|---|---|
| `embed` | what enters the first block | `blocks.0.hook_resid_pre`, `blocks.0.hook_in` |
| `resid_post.i` | what leaves block i, before any final norm | `blocks.i.hook_resid_post`, `blocks.{i+1}.hook_resid_pre` |
| `attn_out.i` | what attention of block i adds to the residual stream | `blocks.i.hook_attn_out` |
| `mlp_out.i` | what the feed-forward layer of block i adds | `blocks.i.hook_mlp_out` |
| `final` | after the final norm | `ln_final.hook_out` |
| `tokens` | rows of the token table | |
| `pooled` | the model's own pooled output | |

`hook_embed` has no counterpart: it is the token table in some families, scaled in Gemma, and after the embedding norm in
BERT. `attn.hook_out` and `mlp.hook_out` have none either: where a norm follows a branch (Gemma-2), they stand before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

BRANCHES = ("attn_out", "mlp_out")

_FIXED = {"ln_final.hook_out": "final"}
_IN_BLOCK = {
    "hook_resid_post": "resid_post",
    "hook_out": "resid_post",
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
}
_BLOCK = re.compile(r"blocks\.(?P<i>\d+)\.(?P<hook>[\w.]+)")


def site_of(name: str) -> str:
    """Our name of a site that may be called by a TransformerLens hook point; any other name as it is."""
    match = _BLOCK.fullmatch(name)
    if match is None:
        return _FIXED.get(name, name)
    i, hook = int(match["i"]), match["hook"]
    if hook in ("hook_resid_pre", "hook_in"):
        return f"resid_post.{i - 1}" if i else "embed"
    return f"{_IN_BLOCK[hook]}.{i}" if hook in _IN_BLOCK else name


def hooks_of(site: str) -> tuple[str, ...]:
    """Hook points of a TransformerBridge that hold what we call `site`, the first that it has; () where none may.

    After a norm that follows a branch, where there is one.
    """
    kind, _, number = site.partition(".")
    named = {
        "embed": ("blocks.0.hook_resid_pre",),
        "resid_post": (f"blocks.{number}.hook_resid_post",),
        "attn_out": (f"blocks.{number}.ln1_post.hook_out", f"blocks.{number}.hook_attn_out"),
        "mlp_out": (f"blocks.{number}.ln2_post.hook_out", f"blocks.{number}.hook_mlp_out"),
        "final": ("ln_final.hook_out",),
    }
    return named.get(kind, ())


def branch_kinds(attn: str, mlp: str) -> tuple[str, ...]:
    """Of `attn_out` and `mlp_out`, those that have a path in the table of families."""
    return tuple(kind for kind, path in zip(BRANCHES, (attn, mlp), strict=True) if path)


def branch_sites(kinds: Collection[str], n_layers: int) -> tuple[str, ...]:
    """The sites of these kinds: `attn_out.0`, `mlp_out.0`, `attn_out.1`, ..."""
    return tuple(f"{kind}.{i}" for i in range(n_layers) for kind in BRANCHES if kind in kinds)
