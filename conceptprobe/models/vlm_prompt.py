"""A picture, perhaps with a text beside it -> what an image-text generator reads, and which tokens are which.

The prompt is made by the family's own processor in transformers, as its documentation prescribes and without a chat
template: scaled, cropped, cut into tiles or left at its own size as the folder says. Processors that insist on a video
processor, which needs torchvision, are made without one: nobody here shows a video.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import CorruptError, MissingError, UsageError
from conceptprobe.models.families.vlm import VlmFamily
from conceptprobe.models.loading import tokenizer_of, told
from conceptprobe.models.processor import Processor
from conceptprobe.stimuli.pictures import read_picture

if TYPE_CHECKING:
    from jaxtyping import Bool

    from conceptprobe.models.vlm_folder import VlmSpec
    from conceptprobe.stimuli.stimulus import Stimulus

_NOT_READ = ("offset_mapping", "labels")


@dataclass(frozen=True)
class Prompt:
    """One stimulus as the model reads it, and masks over its tokens. A token of neither the picture nor the text (BOS,
    marks of tiles and of the picture's ends, line breaks between the two) is in no mask."""

    inputs: dict[str, torch.Tensor]
    """By the names of the model's own arguments; the first dimension counts stimuli, or patches of packed pictures."""
    of_picture: Bool[np.ndarray, " t"]
    of_text: Bool[np.ndarray, " t"]
    in_span: Bool[np.ndarray, " t"]

    @property
    def shape(self) -> tuple[Any, ...]:
        """What prompts must share to be read as one batch, none of them padded: shapes of all inputs, sizes of pictures."""
        shapes = tuple((name, tuple(value.shape)) for name, value in sorted(self.inputs.items()))
        sizes = (self.inputs[name] for name in sorted(self.inputs) if name in ("image_grid_thw", "image_sizes"))
        return shapes, tuple(tuple(size.flatten().tolist()) for size in sizes)


class Prompts:
    """Stimuli -> prompts of one model. Not safe to use from several threads."""

    def __init__(self, spec: VlmSpec, row: VlmFamily, config: Any, arguments: frozenset[str]) -> None:
        """`arguments`: names of what the model takes. Raises CorruptError for settings no processor can be made of,
        MissingError for a package the processor needs."""
        self._row = row
        self._arguments = arguments
        self._image_id = int(config.image_token_id)
        self._longest: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
        with told(f"the picture processor of '{spec.info.name}' cannot be used"):
            self._pictures = Processor(spec.processor, config)
            # The processor adds tokens to its tokenizer, which the text tower shares.
            tokenizer = copy.deepcopy(tokenizer_of(spec))
            self._processor = _joined(row, self._pictures.of_transformers, tokenizer, dict(spec.joint_settings))
        self._special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def __call__(self, stimulus: Stimulus) -> Prompt:
        """The prompt of one stimulus.

        Raises what read_picture raises; UsageError for a picture too narrow to be scaled, or more tokens than the model
        takes; CorruptError for a picture that the processor does not take, or whose tokens it does not mark.
        """
        name = f"the picture of stimulus '{stimulus.id}'"
        picture = read_picture(Path(stimulus.file), stimulus.content)
        self._pictures.check_shape(picture, name)
        text = self._row.picture + (self._row.between + stimulus.text if stimulus.text else "")
        try:
            made = self._processor(images=picture, text=text, return_tensors="pt", return_offsets_mapping=True)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            why = str(error).strip().partition("\n")[0]
            raise CorruptError(
                f"the processor of the model cannot take {name} ({why})",
                hint="its settings belong to another model, or the text beside the picture holds the mark of a picture",
            ) from error
        inputs = {n: value for n, value in made.items() if n in self._arguments and n not in _NOT_READ}
        ids = made["input_ids"][0].numpy()
        if self._longest is not None and len(ids) > self._longest:
            raise UsageError(
                f"stimulus '{stimulus.id}' has {len(ids)} tokens; this model takes {self._longest}",
                hint="shorten the text or make the picture smaller: nothing is ever cut off silently",
            )
        of_picture = ids == self._image_id
        if not of_picture.any():
            raise CorruptError(
                f"the processor of the model writes no token with the image id {self._image_id} for {name}",
                hint="config.json and the tokenizer belong to two models",
            )
        whole = self._processor.expanded
        end = len(whole) - len(self._row.closing)
        start = end - len(stimulus.text)
        ranges = made["offset_mapping"][0].tolist()
        words = [_no_leading_blank(whole, *pair) for pair in ranges]
        content = ~of_picture & ~np.isin(ids, sorted(self._special))
        first, last = stimulus.span or (0, 0)
        return Prompt(
            inputs,
            of_picture,
            content & _inside(ranges, start, end),
            content & _inside(words, start + first, start + last),
        )


class _Joined:
    """Before a processor class of transformers: does without a video processor, and remembers the prompt that it makes
    with all image tokens written out."""

    expanded = ""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        """The class a part should have; none for the part that is left out."""
        parent: Any = super()
        if argument_name == "video_processor" and argument is None:
            return None
        return parent.check_argument_for_proper_class(argument_name, argument)

    def get_text_with_replacements(self, *args: Any, **kwargs: Any) -> Any:
        """The prompts with image tokens, and where they were put."""
        parent: Any = super()
        found = parent.get_text_with_replacements(*args, **kwargs)
        (self.expanded,) = found[0]
        return found


def _joined(row: VlmFamily, pictures: Any, tokenizer: Any, settings: dict[str, Any]) -> Any:
    """The family's processor of these parts; MissingError for a package it asks for."""
    import transformers

    base = getattr(transformers, row.processor)
    kind: Any = type(base.__name__, (_Joined, base), {})
    parts = {"image_processor": pictures, "tokenizer": tokenizer, "video_processor": None}
    try:
        return kind.from_args_and_dict([parts[name] for name in base.get_attributes()], settings)
    except ImportError as error:
        why = str(error).strip().partition("\n")[0]
        raise MissingError(
            f"the processor of the family '{row.model_type}' cannot be made: {why}",
            hint="install that package; SmolVLM's needs num2words",
        ) from error


def check_options(spec: VlmSpec, stimuli: tuple[Stimulus, ...]) -> None:
    """UsageError where a text beside a picture would have to be put into a chat template, prefixed or cut."""
    asked = [name for name in ("chat", "prefix", "truncate") if getattr(spec.options, name)]
    beside = next((s for s in stimuli if s.text), None)
    if asked and beside is not None:
        raise UsageError(
            f"stimulus '{beside.id}' is a picture with a text beside it, which '{asked[0]}' cannot be applied to",
            hint="leave the option out: it is for texts alone",
        )


def _no_leading_blank(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _inside(offsets: Sequence[Sequence[int]], first: int, behind: int) -> Bool[np.ndarray, " t"]:
    """Which tokens have a character in [first, behind)."""
    start, end = np.array(offsets, dtype=np.int64).T
    return np.asarray((start < behind) & (end > first) & (end > start))
