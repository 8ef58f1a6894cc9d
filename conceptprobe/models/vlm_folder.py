"""A folder with an image-text generator -> a JointSpec of two towers, without loading it.

The text tower is its language model on text alone, a TextSpec like any other. The image tower, a VlmSpec, reads
pictures, and pictures with a text beside them, through the whole model. Depths and widths are read off the tensors:
config.json leaves out whatever is usual for the family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import ModelInfo, Pooling
from conceptprobe.models.checkpoint import TOKENIZER_FILES, Checkpoint, holding, twin_info
from conceptprobe.models.families.text import TextFamily, family
from conceptprobe.models.families.vlm import VLM_FAMILIES, VlmFamily
from conceptprobe.models.formats import Shapes, count_parameters, read_json
from conceptprobe.models.hashing import combined
from conceptprobe.models.joint import JointSpec
from conceptprobe.models.options import DEFAULT, Options
from conceptprobe.models.processor import JOINT_FILE, ProcessorSettings, processor_settings
from conceptprobe.models.sites import branch_kinds, branch_sites
from conceptprobe.models.text_folder import TextSpec

if TYPE_CHECKING:
    from conceptprobe.models.vlm import VlmModel

VISION = "vision."
"""Before the names of sites of the vision tower; the language model has the usual names."""

_BLOCK = re.compile(r"\.(?:layers|blocks)\.(\d+)\.")


@dataclass(frozen=True)
class VlmSpec:
    """An image-text generator on disk as a reader of pictures, or its untrained twin (`seed` is not None)."""

    info: ModelInfo
    """`n_layers` and `d_model` are those of the language model."""
    sites: tuple[str, ...]
    """`vision.embed`, `vision.resid_post.i`, `vision.final` (what the vision tower returns as its last state); then, of
    the language model, `embed` (at image tokens the output of the connector), `resid_post.i` and `final`."""
    folders: tuple[Path, ...]
    """Weights lie in the first; configuration, tokenizer and processor settings in the first that has them."""
    processor: ProcessorSettings
    joint_settings: Mapping[str, Any]
    """What processor_config.json says beside the settings of pictures: how many tokens a picture takes."""
    vision_layers: int
    text_type: str
    """model_type of the language model."""
    config_sha256: str
    tokenizer_sha256: str
    branches: tuple[str, ...] = ()
    """Of `attn_out` and `mlp_out`, what the blocks of the language model have as modules."""
    seed: int | None = None
    options: Options = DEFAULT

    poolings: ClassVar[tuple[Pooling, ...]] = ("mean", "image_tokens", "text_tokens", "last", "concept_span")
    part: ClassVar[str] = ""
    projected: ClassVar[bool] = False
    also_reads: ClassVar[tuple[str, ...]] = ("text",)
    """A prompt is tokens, whatever it shows: the libraries that read text decide its numbers, too."""

    @property
    def extra_sites(self) -> tuple[str, ...]:
        """Accepted but not in `sites`: what attention and feed-forward layers of the language model add to its
        residual stream."""
        return branch_sites(self.branches, self.info.n_layers)

    def load(self) -> VlmModel:
        """The model in memory: both towers and the connector, no head, no gradients. The heavy step."""
        from conceptprobe.models.vlm import load_vlm_model

        return load_vlm_model(self)

    def twin(self, seed: int) -> VlmSpec:
        """Same configuration, tokenizer and processor, weights drawn anew from `seed`."""
        if self.seed is not None:
            raise UsageError(f"'{self.info.name}' is a random twin already", hint="name it by another '#seed'")
        parts = {
            "config": self.config_sha256,
            "tokenizer": self.tokenizer_sha256,
            "processor": self.processor.sha256,
            "joint": str(sorted(self.joint_settings.items())),
            "tower": "image",
        }
        return replace(self, seed=seed, info=twin_info(self.info, seed, parts | self.options.decides))


def vlm_spec(checkpoint: Checkpoint) -> JointSpec:
    """The checked spec of an image-text generator: a text tower and an image tower that share all weights.

    Raises MissingError (no weights, tokenizer or picture processor), UnsafeModelError (only pickled weights),
    CorruptError (truncated or missing shard, weights of another model).
    """
    row = VLM_FAMILIES[checkpoint.model_type]
    _ = checkpoint.weights  # without weights nothing else is worth saying
    checkpoint.check_tokenizer()
    settings, joint = processor_settings(checkpoint, row), _joint_settings(checkpoint)
    seen, said = _split(checkpoint.shapes, row.vision)
    layers, vision_layers, d_model = _depth(said), _depth(seen), _width(said)
    if not (layers and vision_layers and d_model):
        raise CorruptError(
            f"the weights of '{checkpoint.name}' hold no {row.model_type}",
            hint="config.json belongs to other weights, or a part of the model is not in this folder",
        )
    text_row = _language_model(checkpoint, row)
    branches = branch_kinds(text_row.attn, text_row.mlp) if not text_row.branch_scale else ()
    hashes = checkpoint.hashes(TOKENIZER_FILES)
    config, tokenizer = hashes["config.json"], combined({k: v for k, v in hashes.items() if k in TOKENIZER_FILES})
    hashes |= {"processor": settings.sha256, "joint": str(sorted(joint.items()))}
    whole = combined(hashes)
    blocks = tuple(f"resid_post.{i}" for i in range(layers))

    inner = checkpoint.tower("text", text_row.model_type, whole)
    text = TextSpec(
        info=inner.info(
            sha256=inner.tower_sha256,
            modality="text",
            n_layers=layers,
            d_model=d_model,
            n_params=count_parameters(said),
        ),
        sites=("embed", *blocks, "final"),
        folders=checkpoint.folders,
        own_pooling=None,
        has_pooler=False,
        config_sha256=config,
        tokenizer_sha256=tokenizer,
        branches=branches,
        generator=row.model_type,
    )
    outer = checkpoint.tower("image", row.model_type, whole)
    image = VlmSpec(
        info=outer.info(
            sha256=outer.tower_sha256,
            modality="image",
            n_layers=layers,
            d_model=d_model,
            n_params=count_parameters(checkpoint.shapes),
        ),
        sites=(
            *(f"{VISION}{site}" for site in ("embed", *(f"resid_post.{i}" for i in range(vision_layers)), "final")),
            "embed",
            *blocks,
            "final",
        ),
        folders=checkpoint.folders,
        processor=settings,
        joint_settings=joint,
        vision_layers=vision_layers,
        text_type=text_row.model_type,
        config_sha256=config,
        tokenizer_sha256=tokenizer,
        branches=branches,
    )
    info = replace(image.info, sha256=whole, modalities=("text", "image"))
    return JointSpec(info, (text, image))


def _language_model(checkpoint: Checkpoint, row: VlmFamily) -> TextFamily:
    """The row of its language model; UsageError for a family that the table of text models lacks."""
    part = checkpoint.config.get("text_config")
    named = str(part.get("model_type", "")) if isinstance(part, dict) else ""
    # Configurations of old name the generator itself here, or nothing.
    found = family(row.text_type if named in ("", row.model_type) else named)
    if found is None:
        raise UsageError(
            f"the language model of '{checkpoint.name}' is of the family '{named}', which is not in the table",
            hint="one row in models/families/text.py adds it",
        )
    return found


def _joint_settings(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The plain entries of processor_config.json; none where there is no such file."""
    holder = holding(checkpoint.folders, [JOINT_FILE])
    settings = read_json(holder / JOINT_FILE) if holder else {}
    return {key: value for key, value in settings.items() if not isinstance(value, dict | list)}


def _split(shapes: Shapes, vision: str) -> tuple[Shapes, Shapes]:
    """Tensors of the vision tower, and all others."""
    seen = {name for name in shapes if vision in name.split(".")}
    return {n: shapes[n] for n in seen}, {n: shape for n, shape in shapes.items() if n not in seen}


def _depth(shapes: Shapes) -> int:
    """Number of blocks whose tensors are there."""
    return len({match.group(1) for name in shapes if (match := _BLOCK.search(f".{name}"))})


def _width(shapes: Shapes) -> int:
    """Width of the table of tokens; 0 where there is none."""
    tables = (shape for name, shape in shapes.items() if name.endswith("embed_tokens.weight"))
    return next((shape[-1] for shape in tables), 0)
