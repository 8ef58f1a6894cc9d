"""Image-text generators as their documentation runs them: one stimulus, eager, float32, the library's own processor.

Nothing here is shared with the package: paths, prompts and the search for tokens are written down again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_vlms import RECIPES

_QWEN = "<|vision_start|><|image_pad|><|vision_end|>"
PROMPTS = {
    "llava": "<image>\n",
    "llava_onevision": "<image>\n",
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN,
    "gemma3": "<start_of_image>",
    "idefics3": "<image>",
    "smolvlm": "<image>",
    "paligemma": "<image>",
}
"""model_type -> what stands before a text."""
_PROCESSORS = {
    "llava": "LlavaProcessor",
    "llava_onevision": "LlavaOnevisionProcessor",
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
    "gemma3": "Gemma3Processor",
    "idefics3": "Idefics3Processor",
    "smolvlm": "SmolVLMProcessor",
    "paligemma": "PaliGemmaProcessor",
}


@dataclass
class Plain:
    """The whole model with its head, and its processor."""

    name: str
    kind: str
    net: Any
    processor: Any

    @classmethod
    def of(cls, folder: Path, name: str) -> Plain:
        import transformers
        from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
        from transformers.processing_utils import ProcessorMixin

        recipe = RECIPES[name]
        net = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
        parts = {
            "image_processor": AutoImageProcessor.from_pretrained(folder, backend="pil"),
            "tokenizer": AutoTokenizer.from_pretrained(folder),
            "video_processor": None,
        }
        kind = getattr(transformers, _PROCESSORS[recipe.kind])
        with mock.patch.object(ProcessorMixin, "check_argument_for_proper_class"):  # it asks for a video processor
            processor = kind(**{n: parts[n] for n in kind.get_attributes()}, **dict(recipe.processor))
        return cls(name, recipe.kind, net, processor)

    @property
    def text_layers(self) -> Any:
        inner = self.net.model
        return (inner.text_model if hasattr(inner, "text_model") else inner.language_model).layers

    @property
    def vision_layers(self) -> Any:
        inner = self.net.model
        if hasattr(inner, "visual"):
            return inner.visual.blocks
        return (inner.vision_model if hasattr(inner, "vision_model") else inner.vision_tower).encoder.layers

    def prepared(self, stimulus: Stimulus) -> Any:
        """What the processor makes of a picture and what stands beside it."""
        before = PROMPTS[self.kind] if stimulus.text else PROMPTS[self.kind].rstrip("\n")
        shown = Image.open(stimulus.file).convert("RGB")
        made = self.processor(images=shown, text=before + stimulus.text, return_tensors="pt")
        made.pop("labels", None)
        return made

    def prepared_text(self, text: str) -> Any:
        """A text alone; to PaliGemma it is a prefix, which attends both ways and is marked by zeros."""
        made = self.processor.tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        if self.kind == "paligemma":
            made["token_type_ids"] = made["input_ids"] * 0
        return made

    @property
    def marker(self) -> str:
        """What a prompt names a picture by."""
        return str(self.processor.image_token)

    def states(self, inputs: Any) -> dict[str, np.ndarray]:
        """Every state of one forward pass: of the language model [t, d], of the vision tower [tiles, positions, d]."""
        import torch

        found: dict[str, Any] = {}
        handles = []
        for prefix, layers in (("vision.", self.vision_layers), ("", self.text_layers)):
            for i, layer in enumerate(layers):

                def kept(_: Any, args: Any, kwargs: Any, out: Any, site: str = f"{prefix}%s.{i}") -> None:
                    found[site % "into"] = args[0] if args else kwargs["hidden_states"]
                    found[site % "resid_post"] = out[0] if isinstance(out, tuple) else out

                handles.append(layer.register_forward_hook(kept, with_kwargs=True))
        inner = self.net.model
        tower = next(getattr(inner, n) for n in ("visual", "vision_model", "vision_tower") if hasattr(inner, n))
        handles.append(tower.register_forward_hook(lambda m, a, out: found.update({"vision.final": out[0]})))
        with torch.no_grad():
            found["final"] = inner(**inputs).last_hidden_state
        for handle in handles:
            handle.remove()
        found["embed"] = found["into.0"]
        if "vision.into.0" in found:
            found["vision.embed"] = found["vision.into.0"]
        return {s: v.numpy() if s.startswith("vision.") else v[0].numpy() for s, v in found.items()}

    def masks(self, stimulus: Stimulus, ids: np.ndarray) -> dict[str, np.ndarray]:
        """Which tokens each pooling averages: image tokens by their id; those of the text are counted from the end."""
        tokenizer = self.processor.tokenizer
        image = ids == self.net.config.image_token_id
        alone = tokenizer(stimulus.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        before = self.processor(
            images=Image.open(stimulus.file).convert("RGB"), text=PROMPTS[self.kind], return_tensors="pt"
        )
        text = np.zeros(len(ids), bool)
        end = len(ids) - (self.kind == "paligemma")  # a line break ends its prompts
        span = np.zeros(len(ids), bool)
        if stimulus.text and stimulus.span:
            text[end - (len(ids) - before["input_ids"].shape[1]) : end] = True
            first, behind = stimulus.span
            for back, (a, b) in enumerate(reversed(alone), start=1):
                span[end - back] = a < behind and b > first
        last = np.zeros(len(ids), bool)
        last[np.flatnonzero(image | text)[-1]] = True
        return {"image_tokens": image, "text_tokens": text, "mean": image | text, "last": last, "concept_span": span}

    def rows(self, stimulus: Stimulus, pooling: str) -> dict[str, np.ndarray]:
        """{site: row} of one stimulus; of the vision tower the mean over all patches of all tiles."""
        inputs = self.prepared(stimulus)
        states = self.states(inputs)
        mask = self.masks(stimulus, inputs["input_ids"][0].numpy())[pooling]
        classes = 1 if self.kind == "llava" else 0
        made = {}
        for site, state in states.items():
            if site.startswith("vision."):
                tiles = state if state.ndim == 3 else state[None]
                made[site] = tiles[:, classes:].reshape(-1, tiles.shape[-1]).mean(0)
            else:
                made[site] = state[mask].mean(0)
        return made
