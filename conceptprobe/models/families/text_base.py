"""The columns of the table of text families."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from conceptprobe.models.families.base import Family


@dataclass(frozen=True)
class TextFamily(Family):
    """One row: how to read a text model of this model_type. `norm` is empty for post-norm families, where `final` is
    the output of the last block."""

    _: KW_ONLY
    positions: bool = True
    """Takes position_ids (Bloom does not: its distances come from the attention mask)."""
    positions_after_pad: bool = False
    """Numbers positions from pad_token_id + 1, as fairseq did (RoBERTa)."""
    pads: bool = True
    """Padding can be masked. Where it cannot (a recurrent state reads it), a batch holds texts of one length."""
    pads_left: bool = True
    """Padding may stand on the left. Where it may not, positions count from the left edge, padding too (BART)."""
    branch_scale: str = ""
    """Path within a block of a number that both branches are multiplied by before they are added to the residual stream
    (Granite); it belongs to `attn_out.i` and `mlp_out.i`."""
    behind_first: str = ""
    """Path of a module that some checkpoints run between the first block and the second: where there is one, what leaves
    it is `resid_post.0` (the convolution of DeBERTa-v2-xlarge)."""
    causal: bool = False
    """No token sees a later one: what stands behind the words that are asked for need not be read."""
    both_ways: str = ""
    """Entry of the configuration that, where true, lets every token see all others, but that transformers heeds only
    where no mask is needed: a single text would be read both ways, and in a padded batch causally. We make the mask."""
    reads_at: Literal["", "first", "eos", "last"] = ""
    """Position the model's own pooled output is read at: the first or the end-of-text token, or the last position,
    padding included; empty where it has none. `head` is what is applied there."""
    full_length: bool = False
    """Reads every text padded to the model's full length, and attends to the padding: so it was trained (SigLIP)."""
