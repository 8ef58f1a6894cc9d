"""What every model folder in the transformers format has, read without loading it: config.json, weights, hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from conceptprobe.errors import MissingError, UnsafeModelError, UsageError
from conceptprobe.models.base import ModelInfo
from conceptprobe.models.formats import Shapes, read_json, tensor_shapes
from conceptprobe.models.hashing import combined, files_sha256
from conceptprobe.models.lineage import card_lineage

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".npz")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
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
WITHOUT_VOCABULARY = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
"""Tokenizers of bytes or characters: tokenizer_config.json is all they have."""


@dataclass(frozen=True)
class Checkpoint:
    """One model on disk. Weights lie in `folders[0]`; any other file is taken from the first folder that has it."""

    name: str
    source: str
    revision: str
    folders: tuple[Path, ...]
    config: Mapping[str, Any]
    stated_lineage: tuple[str, ...] = ()
    """Lineage that is known beforehand; without it, the folder's own card and configuration say it."""
    part: str = ""
    """Where a joint model's config.json keeps the configuration of this tower; empty for a model of its own."""
    tower_sha256: str = ""

    @property
    def model_type(self) -> str:
        """Family of the model by its config.json; empty where it names none."""
        return str(self.config.get("model_type", ""))

    @cached_property
    def weights(self) -> tuple[Path, ...]:
        """The safetensors files. Raises MissingError or UnsafeModelError where there are none."""
        return tuple(_weight_files(self.folders[0], self.name))

    @cached_property
    def shapes(self) -> Shapes:
        """Shape of every tensor of the weights; CorruptError when a file is cut short."""
        return {tensor: shape for file in self.weights for tensor, shape in tensor_shapes(file).items()}

    @cached_property
    def lineage(self) -> tuple[str, ...]:
        """What the model was made from, as far as known."""
        found = (card_lineage(folder, self.config, self.source) for folder in self.folders)
        return self.stated_lineage or tuple(dict.fromkeys(name for names in found for name in names))

    def check_tokenizer(self) -> None:
        """MissingError where no folder has a vocabulary."""
        if holding(self.folders, VOCABULARIES) is None and not self._needs_no_vocabulary:
            raise MissingError(
                f"'{self.name}' has no tokenizer",
                hint="save it there: AutoTokenizer.from_pretrained(...).save_pretrained(folder) writes tokenizer.json",
            )

    @property
    def _needs_no_vocabulary(self) -> bool:
        folder = holding(self.folders, ["tokenizer_config.json"])
        named = read_json(folder / "tokenizer_config.json").get("tokenizer_class") if folder else None
        return named in WITHOUT_VOCABULARY

    def hashes(self, names: Iterable[str] = ()) -> dict[str, str]:
        """{file name: sha256} of config.json, the weights, and those of `names` that are there."""
        files = {path.name: path for path in self.weights}
        for name in ("config.json", *names):
            holder = holding(self.folders, [name])
            if holder is not None:
                files[name] = holder / name
        digests = files_sha256(files.values())
        return {name: digests[path] for name, path in files.items()}

    def identity(self, hashes: Mapping[str, str]) -> str:
        """What identifies the model: the hashes of its files; for a tower, the whole model and which part it is."""
        return self.tower_sha256 or combined(hashes)

    def tower(self, part: str, model_type: str, whole_sha256: str) -> Checkpoint:
        """One tower of a joint model: the same files, its own part of the configuration, its own identity."""
        config = {**dict(self.config.get(part) or {}), "model_type": model_type}
        # Towers of one model were trained together, wherever its folder lies.
        lineage = (*self.lineage, f"sha256:{whole_sha256[:16]}")
        own = combined({"model": whole_sha256, "tower": part})
        return replace(self, config=config, stated_lineage=lineage, part=part, tower_sha256=own)

    def info(self, *, sha256: str, modality: str, n_layers: int, d_model: int, n_params: int) -> ModelInfo:
        """The record of this model."""
        return ModelInfo(
            name=self.name,
            source=self.source,
            revision=self.revision,
            sha256=sha256,
            family=self.model_type,
            modalities=(modality,),
            n_layers=n_layers,
            d_model=d_model,
            n_params=n_params,
            dtype="float32",
            lineage=self.lineage,
        )


def open_checkpoint(
    folders: tuple[Path, ...], *, name: str, source: str, revision: str = "", lineage: tuple[str, ...] = ()
) -> Checkpoint:
    """The model in `folders[0]`; files it shares with others may lie in the folders after it.

    Raises MissingError without a config.json, CorruptError when that cannot be read.
    """
    holder = holding(folders, ["config.json"]) or folders[0]
    config = read_json(holder / "config.json", missing=f"'{name}' has no config.json")
    return Checkpoint(name, source, revision, folders, config, lineage)


def holding(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The first folder that has a file of one of these names."""
    wanted = list(names)
    return next((folder for folder in folders if any((folder / name).is_file() for name in wanted)), None)


def twin_info(info: ModelInfo, seed: int, parts: Mapping[str, str]) -> ModelInfo:
    """The record of the untrained twin; `parts` is what decides its numbers beside the seed.

    Library versions enter the hash, because they decide which numbers a seed gives.
    """
    versions = {package: library_version(package) for package in ("torch", "transformers")}
    return replace(
        info,
        name=f"random:{info.name}#{seed}",
        sha256=combined({**parts, **versions, "seed": str(seed)}),
        revision=f"seed {seed}",
        lineage=(),
        kind="twin",
    )


def library_version(package: str) -> str:
    """Version of an installed package, read without importing it; MissingError when it is not installed."""
    try:
        # A local suffix (2.13.0+cpu) names a build, not other arithmetic.
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError as error:
        raise MissingError(f"the package '{package}' is not installed", hint=f"pip install {package}") from error


def first_number(config: Mapping[str, Any], keys: tuple[str, ...], name: str) -> int:
    """The first of these keys that holds an integer; UsageError when none does."""
    for key in keys:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise UsageError(
        f"config.json of '{name}' has none of {', '.join(keys)}",
        hint="a family in no table is read where config.json says depth and width under these names",
    )


def _weight_files(folder: Path, name: str) -> list[Path]:
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted({str(s) for s in dict(read_json(index).get("weight_map", {})).values()})
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
