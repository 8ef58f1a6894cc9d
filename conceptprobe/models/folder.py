"""A folder in the transformers format -> a ModelSpec, without loading it.

Reads config.json and the headers of the safetensors files, checks that everything needed is there, and hashes what
decides the numbers: weights, configuration, tokenizer, and the pooling of a sentence-transformers folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from conceptprobe.errors import CorruptError, MissingError, UnsafeModelError, UsageError
from conceptprobe.models.base import ModelInfo
from conceptprobe.models.blocks import UNSUPPORTED, family
from conceptprobe.models.hashing import combined, files_sha256
from conceptprobe.models.lineage import card_lineage

if TYPE_CHECKING:
    from conceptprobe.models.text import TextModel

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".npz")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
POOLING_FILES = ("modules.json", "1_Pooling/config.json")

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTH = ("hidden_size", "n_embd", "d_model", "dim")


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
    folder: Path
    own_pooling: OwnPooling | None
    has_pooler: bool
    config_sha256: str
    tokenizer_sha256: str
    seed: int | None = None

    extra_sites: ClassVar[tuple[str, ...]] = ("tokens",)
    """Accepted but not in `sites`: rows of the token embedding table, before positions and norm (a bag of words)."""

    def load(self) -> TextModel:
        """The model in memory: float32, no head, no gradients. The heavy step."""
        from conceptprobe.models.loading import load_text_model

        return load_text_model(self)

    def twin(self, seed: int) -> TextSpec:
        """Same configuration and tokenizer, weights drawn anew from `seed`.

        Library versions enter the hash, because they decide which numbers a seed gives.
        """
        if self.seed is not None:
            raise UsageError(f"'{self.info.name}' is a random twin already", hint="name it by another '#seed'")
        sha256 = combined(
            {
                "config": self.config_sha256,
                "tokenizer": self.tokenizer_sha256,
                "seed": str(seed),
                "torch": library_version("torch"),
                "transformers": library_version("transformers"),
            }
        )
        name = f"random:{self.info.name}#{seed}"
        return replace(
            self,
            seed=seed,
            info=replace(self.info, name=name, sha256=sha256, revision=f"seed {seed}", lineage=(), kind="twin"),
        )


def library_version(package: str) -> str:
    """Version of an installed package, read without importing it; MissingError when it is not installed."""
    try:
        # A local suffix (2.13.0+cpu) names a build, not other arithmetic.
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError as error:
        raise MissingError(f"the package '{package}' is not installed", hint=f"pip install {package}") from error


def text_spec(folder: Path, *, name: str, source: str, revision: str = "", lineage: tuple[str, ...] = ()) -> TextSpec:
    """The checked spec of a folder; each thing that is not there has its own message.

    Raises MissingError (no config, weights or tokenizer), UnsafeModelError (only pickled weights), CorruptError
    (unreadable config, truncated or missing shard), UsageError (a kind of model this project cannot read).
    """
    config = _read_json(folder / "config.json", missing=f"'{name}' has no config.json")
    model_type = str(config.get("model_type", ""))
    _check_kind(name, model_type, config)
    weights = _weight_files(folder, name)
    tokenizer = [folder / f for f in TOKENIZER_FILES if (folder / f).is_file()]
    if not any((folder / f).is_file() for f in VOCABULARIES):
        raise MissingError(
            f"'{name}' has no tokenizer",
            hint="save it there: AutoTokenizer.from_pretrained(...).save_pretrained(folder) writes tokenizer.json",
        )
    shapes = {tensor: shape for file in weights for tensor, shape in tensor_shapes(file).items()}
    own = _own_pooling(folder)
    n_layers = _first(config, _LAYERS, name)

    row = family(model_type)
    # A pooler that is not in the file would be drawn at random: its output would be noise under a model's name.
    has_pooler = own is None and row is not None and row.pooler and any(".pooler." in f".{t}" for t in shapes)
    sites = ("embed", *(f"resid_post.{i}" for i in range(n_layers)), "final")
    if own is not None or has_pooler:
        sites += ("pooled",)

    pooling = [folder / f for f in POOLING_FILES if (folder / f).is_file()]
    hashes = {
        str(path.relative_to(folder)): digest
        for path, digest in files_sha256([folder / "config.json", *weights, *tokenizer, *pooling]).items()
    }
    info = ModelInfo(
        name=name,
        source=source,
        revision=revision,
        sha256=combined(hashes),
        family=model_type,
        modalities=("text",),
        n_layers=n_layers,
        d_model=_first(config, _WIDTH, name),
        n_params=sum(math.prod(shape) for shape in shapes.values()),
        dtype="float32",
        lineage=lineage or card_lineage(folder, config, source),
    )
    return TextSpec(
        info=info,
        sites=sites,
        folder=folder,
        own_pooling=own,
        has_pooler=has_pooler,
        config_sha256=hashes["config.json"],
        tokenizer_sha256=combined({k: v for k, v in hashes.items() if k in TOKENIZER_FILES}),
    )


def _check_kind(name: str, model_type: str, config: Mapping[str, Any]) -> None:
    if not model_type:
        raise UsageError(
            f"config.json of '{name}' names no model_type, so it is not a transformers model",
            hint="save the model with transformers' save_pretrained",
        )
    reason = UNSUPPORTED.get(model_type)
    if config.get("is_encoder_decoder"):
        reason = "it is an encoder-decoder, whose two streams have no common depth"
    if reason:
        raise UsageError(
            f"'{name}' ({model_type}) cannot be read: {reason}", hint="use an encoder or a decoder of text"
        )


def _weight_files(folder: Path, name: str) -> list[Path]:
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted({str(s) for s in dict(_read_json(index).get("weight_map", {})).values()})
        absent = [s for s in shards if not (folder / s).is_file()]
        if absent or not shards:
            what = f"the shard {absent[0]} its index lists" if absent else "any shard: its index lists none"
            raise MissingError(
                f"'{name}' does not have {what}", hint="the download or copy is incomplete: fetch it again"
            )
        return [folder / s for s in shards]
    files = sorted(p.name for p in folder.iterdir() if p.is_file())
    other = [f for f in files if f.endswith(".safetensors")]
    if other:
        raise MissingError(f"'{name}' has {other[0]} but no model.safetensors", hint="rename it to model.safetensors")
    pickled = [f for f in files if f.endswith(PICKLES)]
    if pickled:
        raise UnsafeModelError(
            f"'{name}' offers only pickled weights ({pickled[0]}), which can run code when loaded",
            hint="convert them where you trust them: model.save_pretrained(folder) writes model.safetensors",
        )
    raise MissingError(f"'{name}' has no weights", hint="a model folder needs model.safetensors")


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors in a safetensors file; CorruptError when it is cut short or no such file."""
    broken = CorruptError(f"{path} is cut short or not a safetensors file", hint="copy or download the model again")
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 0 < length < 2**30:
                raise broken
            header = json.loads(handle.read(length))
        entries = {k: v for k, v in header.items() if k != "__metadata__"}
        end = max((v["data_offsets"][1] for v in entries.values()), default=0)
        shapes = {k: [int(n) for n in v["shape"]] for k, v in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken from error
    if path.stat().st_size < 8 + length + end:
        raise broken
    return shapes


def _own_pooling(folder: Path) -> OwnPooling | None:
    """Pooling of a sentence-transformers folder; None where there is none, or where more modules follow it."""
    if not (folder / "modules.json").is_file() or not (folder / "1_Pooling" / "config.json").is_file():
        return None
    # A JSON list is read as {index: module}.
    modules = _read_json(folder / "modules.json").values()
    kinds = [str(m.get("type", "")).rpartition(".")[2] for m in modules if isinstance(m, dict)]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        return None
    config = _read_json(folder / "1_Pooling" / "config.json")
    named = config.get("pooling_mode")
    if isinstance(named, str):
        modes: tuple[str, ...] = (named,)
    elif isinstance(named, list):
        modes = tuple(str(m) for m in named)
    else:
        modes = tuple(mode for flag, mode in _LEGACY_MODES.items() if config.get(flag))
    return OwnPooling(modes or ("mean",), normalize=kinds[2:] == ["Normalize"])


_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _first(config: Mapping[str, Any], keys: tuple[str, ...], name: str) -> int:
    for key in keys:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise UsageError(f"config.json of '{name}' has none of {', '.join(keys)}", hint="only text models can be read")


def _read_json(path: Path, missing: str = "") -> dict[str, Any]:
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MissingError(missing or f"no file {path}", hint="a model folder needs config.json") from error
    except (OSError, ValueError) as error:
        raise CorruptError(
            f"{path} cannot be read as JSON: {error}", hint="copy or download the model again"
        ) from error
    if isinstance(read, list):
        return {str(i): entry for i, entry in enumerate(read)}
    if not isinstance(read, dict):
        raise CorruptError(f"{path} holds no JSON object", hint="copy or download the model again")
    return read
