"""A second oracle nobody here wrote: TransformerLens' bridge, on the same tiny checkpoints, one prompt at a time.

The bridge runs its own attention over the weights of a checkpoint with its head; nothing is folded or centred. Where it
disagrees with transformers itself, it is no oracle; the tests of families are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from conceptprobe.models import resolve
from conceptprobe.models.text import TextModel
from models.tiny_models import TEXT, VARIANTS, collect, save_named, stimuli

TOLERANCE = 1e-5

NOT_SUPPORTED = (
    *("roberta", "xlm-roberta", "camembert", "mpnet", "electra", "distilbert", "deberta", "deberta-v2"),
    *("deberta-v2 with a convolution", "deberta-v2 with positions", "modernbert", "nomic_bert", "gte", "umt5"),
)
"""The bridge has no adapter."""
NOT_RUNNING = ("t5", "t5, gated", "mt5", "falcon, new architecture", "opt-350m")
"""The bridge loads, or refuses, but does not run these with this version of transformers."""
OTHERWISE = ("cohere", "cohere2", "falcon with alibi", "falcon, one after the other")
"""The bridge disagrees with transformers: rotation in Cohere, ALiBi added twice in Falcon as in transformers' eager one."""
SUPPORTED = [n for n in (*TEXT, *VARIANTS) if n not in (*NOT_SUPPORTED, *NOT_RUNNING, *OTHERWISE)]

BRANCHES = {"attn_out": "hook_attn_out", "mlp_out": "hook_mlp_out"}
FINAL = {"bert": None, "bart": None, "mbart": "encoder_ln_final.hook_out"}
"""Where it is not `ln_final.hook_out`: post-norm families end with their last block."""
SCALED = ("gemma", "gemma2", "gemma3_text")
"""The bridge's token embeddings hold the scale of the family; rows of the token table do not."""


def hook_of(site: str, name: str) -> str:
    """The hook point of the bridge for a site of ours."""
    kind, _, number = site.partition(".")
    blocks = "encoder_blocks" if name in ("bart", "mbart") else "blocks"
    if kind == "attn_out" and name == "bert":
        return f"blocks.{number}.attn.o.hook_out"  # its attention hook is behind the sum and the norm
    named = {"embed": f"{blocks}.0.hook_resid_pre", "tokens": "embed.hook_out", "final": "ln_final.hook_out"}
    return named.get(site) or f"{blocks}.{number}.{BRANCHES.get(kind, 'hook_resid_post')}"


@pytest.mark.parametrize("name", SUPPORTED)
def test_every_site_is_that_of_the_bridge(name: str, tiny_text: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    folder = save_named(tmp_path / name, name, head=AutoModelForMaskedLM) if name == "bert" else tiny_text(name)
    model = resolve(str(folder)).load()
    assert isinstance(model, TextModel)
    item = stimuli(9)[7]
    bridge = TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32).eval()
    with torch.no_grad():
        _, cache = bridge.run_with_cache(torch.tensor([model.tokenizer(item.content)["input_ids"]]))

    sites = [s for s in (*model.sites, *model.reader.branches) if not (s == "final" and FINAL.get(name, "") is None)]
    rows = collect(model, [item], ["tokens", *sites], ("cls", "last"))
    last = -1 if model.row.causal else -2  # an encoder's tokenizer puts a token behind the text
    for site in ("tokens", *sites):
        hook = (FINAL.get(name) if site == "final" else None) or hook_of(site, name)
        scale = model.info.d_model**0.5 if site == "tokens" and name in SCALED else 1.0
        theirs = cache[hook][0, [0, last]].numpy() / scale
        ours = np.concatenate([rows[site, "cls"], rows[site, "last"]])
        assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max(), (site, hook)
