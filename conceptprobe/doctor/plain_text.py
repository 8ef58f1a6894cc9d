"""Texts for the reference: the model's own tokenizer, called on one text, and lists of positions written out naively."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from conceptprobe.doctor.plain import Places, Prepared, Show
from conceptprobe.models.base import Pooling
from conceptprobe.models.families.base import at_path
from conceptprobe.models.families.vlm import VLM_FAMILIES
from conceptprobe.models.loading import tokenizer_of

if TYPE_CHECKING:
    from conceptprobe.models.families.text import TextFamily
    from conceptprobe.models.text_folder import OwnPooling
    from conceptprobe.stimuli.stimulus import Stimulus


class ShowText(Show):
    """One text -> ids alone, without mask and positions; padded only where the family was trained to read padding."""

    def __init__(self, spec: Any, row: TextFamily, net: Any) -> None:
        super().__init__(spec, row, net)
        self.tokenizer = tokenizer_of(spec)
        self.options = spec.options
        self.own: OwnPooling | None = spec.own_pooling
        longest = (net.config.max_position_embeddings, self.tokenizer.model_max_length) if row.full_length else (0,)
        self.length = min(longest)

    def __call__(self, stimulus: Stimulus) -> Prepared:
        """The inputs and the positions of one text."""
        ids, special, places = self.coded(stimulus.content)
        content = [t for t in range(len(ids)) if not special[t]]
        pools: dict[Pooling, Places] = {"mean": content, "last": content[-1:], "cls": [0]}
        if places and stimulus.span:
            first, behind = stimulus.span
            inside = [t for t in content if any(first <= place < behind for place in places[t])]
            pools |= {"concept_span": inside, "context": [t for t in content if t not in inside]}
        if self.length:
            ids = ids + [self.tokenizer.pad_token_id] * (self.length - len(ids))
        return Prepared({"input_ids": torch.tensor([ids])}, pools)

    def coded(self, text: str) -> tuple[list[int], list[bool], list[set[int]]]:
        """(ids, which of them are not of the text, the characters of the text that each covers).

        Blanks are nobody's characters. The last list is empty for a tokenizer that does not say.
        """
        tokenizer = self.tokenizer
        whole, start = self._around(text)
        code = tokenizer(
            whole,
            add_special_tokens=not self.options.chat,
            return_special_tokens_mask=True,
            return_offsets_mapping=tokenizer.is_fast,
        )
        ids, added = list(code["input_ids"]), [bool(a) for a in code["special_tokens_mask"]]
        offsets = list(code["offset_mapping"]) if tokenizer.is_fast else []
        while len(ids) > 1 and ids[0] == ids[1] == tokenizer.bos_token_id:
            ids, added, offsets = ids[1:], added[1:], offsets[1:]
        never = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, tokenizer.mask_token_id}
        special = [a or i in never for a, i in zip(added, ids, strict=True)]
        places = [{c - start for c in range(*span) if not whole[c].isspace()} for span in offsets]
        if whole != text:
            own = set(range(len(text)))
            special = [s or not p & own for s, p in zip(special, places, strict=True)]
        return ids, special, places

    def called(self, whole: Any, runs: Any) -> Any:
        """Of an image-text generator's language model, the generator itself: it may read a text otherwise."""
        return at_path(whole, VLM_FAMILIES[self.spec.generator].trunk) if self.spec.generator else runs

    def scale(self, block: Any, kind: str) -> Any:
        """Granite's, for both branches."""
        return at_path(block, self.row.branch_scale) if self.row.branch_scale else 1.0

    def leaving(self, blocks: Sequence[Any]) -> Sequence[Any]:
        """The blocks, and behind the first one what some checkpoints run there."""
        behind = at_path(self.net, self.row.behind_first) if self.row.behind_first else None
        return blocks if behind is None else [behind, *blocks[1:]]

    def pooled(self, out: Any) -> torch.Tensor:
        """What transformers, or sentence-transformers by the folder's own settings, makes of one text."""
        if self.own is not None:
            return _sentence_vector(out.last_hidden_state[0], self.own)
        found = getattr(out, "text_embeds", None)
        vector: torch.Tensor = (out.pooler_output if found is None else found)[0]
        return vector

    def _around(self, text: str) -> tuple[str, int]:
        """The text as it is shown, behind a prefix or within a chat, and where it begins in that."""
        if not self.options.chat:
            return self.options.prefix + text, len(self.options.prefix)
        said = self.options.prefix + text
        whole = self.tokenizer.apply_chat_template([{"role": "user", "content": said}], tokenize=False)
        return whole, whole.index(said) + len(self.options.prefix)


def _sentence_vector(hidden: torch.Tensor, own: OwnPooling) -> torch.Tensor:
    """Every pooling mode of sentence-transformers for one text without padding: [t, d] -> [k]."""
    n = len(hidden)
    order = torch.arange(1, n + 1, device=hidden.device, dtype=hidden.dtype)[:, None]
    modes = {
        "cls": hidden[0],
        "max": hidden.amax(0),
        "mean": hidden.mean(0),
        "mean_sqrt_len_tokens": hidden.sum(0) / n**0.5,
        "weightedmean": (hidden * order).sum(0) / order.sum(),
        "lasttoken": hidden[-1],
    }
    joined = torch.cat([modes[mode] for mode in own.modes])
    return joined / joined.norm() if own.normalize else joined
