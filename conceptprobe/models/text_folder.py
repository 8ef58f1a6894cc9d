"""A folder with a text model, or the text tower of a joint one, -> a TextSpec, without loading it.

Checks that everything needed is there, and hashes what decides the numbers: weights, configuration, tokenizer, and the
pooling of a sentence-transformers folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import POOLINGS, ModelInfo, Pooling
from conceptprobe.models.checkpoint import TOKENIZER_FILES, Checkpoint, first_number, holding, twin_info
from conceptprobe.models.families.text import TextFamily, family
from conceptprobe.models.formats import Shapes, count_blocks, count_parameters, read_json, without_prefix
from conceptprobe.models.hashing import combined
from conceptprobe.models.options import DEFAULT, Options
from conceptprobe.models.sites import branch_kinds, branch_sites

if TYPE_CHECKING:
    from conceptprobe.models.text import TextModel

LENGTH_FILE = "sentence_bert_config.json"
"""Where sentence-transformers keeps the number of tokens a text is cut at."""
POOLING_FILES = ("modules.json", "1_Pooling/config.json", LENGTH_FILE)

# First what an encoder-decoder says of its encoder, which is the part that is read.
_LAYERS = ("encoder_layers", "num_hidden_layers", "n_layer", "n_layers", "num_layers")
_POSITIONS = ("embeddings.position_embedding.weight", "embeddings.position_embeddings.weight")
_WIDTH = ("hidden_size", "n_embd", "n_embed", "d_model", "dim")


@dataclass(frozen=True)
class OwnPooling:
    """How a sentence-transformers folder makes one vector of a text: its pooling modes side by side, then scaled."""

    modes: tuple[str, ...]
    normalize: bool


@dataclass(frozen=True)
class TextSpec:
    """A transformers text model on disk, or its untrained twin (`seed` is not None)."""

    info: ModelInfo
    sites: tuple[str, ...]
    folders: tuple[Path, ...]
    """Weights lie in the first; configuration and tokenizer in the first that has them."""
    own_pooling: OwnPooling | None
    has_pooler: bool
    config_sha256: str
    tokenizer_sha256: str
    part: str = ""
    """Where a joint model's config.json keeps this tower's configuration; empty for a model of its own."""
    projected: bool = False
    """The file holds the projection onto the space shared with another tower."""
    seed: int | None = None
    max_seq_length: int | None = None
    """Tokens that a sentence-transformers folder cuts a text at; None where it says nothing."""
    branches: tuple[str, ...] = ()
    """Of `attn_out` and `mlp_out`, what its blocks have as modules."""
    generator: str = ""
    """Family of the image-text generator that this is the language model of; empty for a model of its own."""
    options: Options = DEFAULT

    poolings: ClassVar[tuple[Pooling, ...]] = POOLINGS

    @property
    def extra_sites(self) -> tuple[str, ...]:
        """Accepted but not in `sites`: `tokens`, rows of the token embedding table before positions and norm (a bag of
        words), and what attention and feed-forward layers add to the residual stream."""
        return ("tokens", *branch_sites(self.branches, self.info.n_layers))

    @property
    def folder(self) -> Path:
        """Where the weights lie."""
        return self.folders[0]

    def load(self) -> TextModel:
        """The model in memory: no head, no gradients. The heavy step."""
        from conceptprobe.models.text import load_text_model

        return load_text_model(self)

    def twin(self, seed: int) -> TextSpec:
        """Same configuration and tokenizer, weights drawn anew from `seed`."""
        if self.seed is not None:
            raise UsageError(f"'{self.info.name}' is a random twin already", hint="name it by another '#seed'")
        parts = {"config": self.config_sha256, "tokenizer": self.tokenizer_sha256}
        # What is drawn beside the blocks moves the generator that draws them.
        drawn = {
            "part": self.part,
            "pooler": self.has_pooler,
            "projection": self.projected,
            "generator": self.generator,
        }
        # Where its texts are cut.
        length = {"max_seq_length": self.max_seq_length if self.options.truncate else None}
        parts |= {name: str(value) for name, value in (drawn | length).items() if value}
        return replace(self, seed=seed, info=twin_info(self.info, seed, parts | self.options.decides))


def text_spec(checkpoint: Checkpoint) -> TextSpec:
    """The checked spec of a text model, or of the text tower of a joint one.

    Raises MissingError (no weights, no tokenizer), UnsafeModelError (only pickled weights), CorruptError (truncated or
    missing shard), UsageError (a configuration that says no depth or width).
    """
    row = family(checkpoint.model_type) or TextFamily(checkpoint.model_type, "")
    _ = checkpoint.weights  # without weights nothing else is worth saying
    checkpoint.check_tokenizer()
    shapes = checkpoint.shapes
    projection = row.projection.layer if row.projection else ""
    if row.prefix:
        shapes = without_prefix(shapes, row.prefix, projection)
    n_layers, d_model = _size(checkpoint, row, shapes)
    own = _own_pooling(checkpoint)
    # A head that is not in the file would be drawn at random: its output would be noise under a model's name.
    in_file = not row.head or any(f".{row.head}." in f".{tensor}" for tensor in shapes)
    has_pooler = own is None and bool(row.reads_at) and in_file
    pooled = ("pooled",) if own is not None or has_pooler else ()

    hashes = checkpoint.hashes((*TOKENIZER_FILES, *POOLING_FILES))
    return TextSpec(
        info=checkpoint.info(
            sha256=checkpoint.identity(hashes),
            modality="text",
            n_layers=n_layers,
            d_model=d_model,
            n_params=count_parameters(shapes),
        ),
        sites=("embed", *(f"resid_post.{i}" for i in range(n_layers)), "final", *pooled),
        folders=checkpoint.folders,
        own_pooling=own,
        has_pooler=has_pooler,
        config_sha256=hashes["config.json"],
        tokenizer_sha256=combined({k: v for k, v in hashes.items() if k in TOKENIZER_FILES}),
        part=checkpoint.part,
        projected=bool(projection) and any(tensor.startswith(f"{projection}.") for tensor in shapes),
        max_seq_length=_max_seq_length(checkpoint),
        branches=branch_kinds(row.attn, row.mlp),
    )


def _size(checkpoint: Checkpoint, row: TextFamily, shapes: Shapes) -> tuple[int, int]:
    """Depth and width. The configuration of a tower leaves out what is usual for its family, so there tensors say it."""
    if not row.prefix:
        config, name = checkpoint.config, checkpoint.name
        return first_number(config, _LAYERS, name), first_number(config, _WIDTH, name)
    table = next((shapes[name] for name in _POSITIONS if name in shapes), None)
    n_layers = count_blocks(shapes, row.blocks)
    if table is None or not n_layers:
        raise CorruptError(
            f"the weights of '{checkpoint.name}' hold no {checkpoint.model_type}",
            hint="config.json belongs to other weights, or a part of the model is not in this folder",
        )
    return n_layers, table[-1]


def _own_pooling(checkpoint: Checkpoint) -> OwnPooling | None:
    """Pooling of a sentence-transformers folder; None where there is none, or where more modules follow it."""
    folder = holding(checkpoint.folders, ["modules.json"])
    if checkpoint.part or folder is None or not (folder / "1_Pooling" / "config.json").is_file():
        return None
    # A JSON list is read as {index: module}.
    modules = read_json(folder / "modules.json").values()
    kinds = [str(m.get("type", "")).rpartition(".")[2] for m in modules if isinstance(m, dict)]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        return None
    config = read_json(folder / "1_Pooling" / "config.json")
    named = config.get("pooling_mode")
    if isinstance(named, str):
        modes: tuple[str, ...] = (named,)
    elif isinstance(named, list):
        modes = tuple(str(m) for m in named)
    else:
        modes = tuple(mode for flag, mode in _LEGACY_MODES.items() if config.get(flag))
    return OwnPooling(modes or ("mean",), normalize=kinds[2:] == ["Normalize"])


def _max_seq_length(checkpoint: Checkpoint) -> int | None:
    folder = None if checkpoint.part else holding(checkpoint.folders, [LENGTH_FILE])
    stated = read_json(folder / LENGTH_FILE).get("max_seq_length") if folder else None
    return stated if isinstance(stated, int) else None


_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
