"""A model into memory, or its twin: safetensors only, no remote code, no network, float32, and no surprises.

transformers draws at random what a file lacks, prints bars, and lets whatever a damaged file provokes through; here a
lacking weight is an error, and every failure is one message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from conceptprobe.errors import ConceptprobeError, CorruptError
from conceptprobe.kernels.attention import attention_for
from conceptprobe.models.blocks import Family, at_path, family
from conceptprobe.models.checkpoint import VOCABULARIES, holding
from conceptprobe.models.image import ImageModel
from conceptprobe.models.image_blocks import IMAGE_FAMILIES, ImageFamily
from conceptprobe.models.processor import Processor
from conceptprobe.models.text import TextModel

if TYPE_CHECKING:
    from conceptprobe.models.image_folder import ImageSpec
    from conceptprobe.models.text_folder import TextSpec


def load_text_model(spec: TextSpec, *, device: str | None = None) -> TextModel:
    """Load a text model, or draw its twin, on `device` (default: the GPU where torch sees one, else the CPU).

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs.
    """
    device = device or _device()
    known = family(spec.info.family)
    row = known or Family(spec.info.family, "", sdpa=False)
    options: dict[str, Any] = {"attn_implementation": attention_for(row, device).name}
    if row.switch:
        options["add_pooling_layer"] = spec.has_pooler
    with _quiet():
        config = _config(spec)
        config.use_cache = False
        with _told(f"the tokenizer of '{spec.info.name}' cannot be used"):
            folder = holding(spec.folders, VOCABULARIES) or spec.folder
            tokenizer = _tokenizer(folder, tuple(sorted(_stamps(folder))))
        net, projection = _network(spec, row, config, options)
    return TextModel(spec, _ready(net, device), tokenizer, row=known, projection=_ready(projection, device))


def load_image_model(spec: ImageSpec, *, device: str | None = None) -> ImageModel:
    """Load an image model, or draw its twin, on `device` (default: the GPU where torch sees one, else the CPU).

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs.
    """
    device = device or _device()
    row = IMAGE_FAMILIES[spec.info.family]
    options: dict[str, Any] = {}
    if not row.feature_map:
        options["attn_implementation"] = attention_for(row, device).name
    if row.switch:
        options["add_pooling_layer"] = spec.has_pooler
    with _quiet():
        config = _config(spec)
        with _told(f"the picture processor of '{spec.info.name}' cannot be used"):
            processor = Processor(spec.processor, config)
        net, projection = _network(spec, row, config, options)
    return ImageModel(spec, _ready(net, device), processor, row=row, projection=_ready(projection, device))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _ready(net: Any, device: str) -> Any:
    """On its device, and for reading only; None stays None."""
    return None if net is None else net.to(device).eval().requires_grad_(False)


def _config(spec: TextSpec | ImageSpec) -> Any:
    """The configuration of the model, or of the tower it is."""
    from transformers import AutoConfig

    with _told(f"the configuration of '{spec.info.name}' cannot be used"):
        folder = holding(spec.folders, ["config.json"]) or spec.folders[0]
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not spec.part:
            return config
        tower = getattr(config, spec.part)
        if spec.projected:
            # A tower's own entry may still hold the default; the joint model goes by the outer one.
            tower.projection_dim = config.projection_dim
        return tower


@lru_cache(maxsize=4)
def _tokenizer(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> Any:
    """One for a model and its twins, as long as no file of it changes."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    """(name, time, size) of every file that is no weights."""
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            status = path.stat()
            yield path.name, status.st_mtime_ns, status.st_size


def _network(spec: TextSpec | ImageSpec, row: Family | ImageFamily, config: Any, options: dict[str, Any]) -> Any:
    """The base model, and the projection that follows it in a tower that has one, else None."""
    import transformers

    wanted = row.projection if spec.projected else None
    kind = getattr(transformers, wanted.net if wanted else row.net)
    options = {**options, "dtype": torch.float32}
    with _told(f"'{spec.info.name}' cannot be loaded: its weights do not fit its configuration"):
        net = _trained(spec, kind, config, options) if spec.seed is None else _untrained(spec, kind, config, options)
        return (at_path(net, wanted.trunk), at_path(net, wanted.layer)) if wanted else (net, None)


def _trained(spec: TextSpec | ImageSpec, kind: Any, config: Any, options: dict[str, Any]) -> Any:
    net, report = kind.from_pretrained(
        spec.folders[0],
        config=config,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        **options,
    )
    # Counters of batch norms are of no use after training, and old files have none.
    lacking = sorted(name for name in report["missing_keys"] if not name.endswith("num_batches_tracked"))
    if lacking:
        raise CorruptError(
            f"the weights of '{spec.info.name}' lack {len(lacking)} tensors, {lacking[0]} among them",
            hint="save the whole model again: what is lacking would be drawn at random",
        )
    return net


def _untrained(spec: TextSpec | ImageSpec, kind: Any, config: Any, options: dict[str, Any]) -> Any:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to move
        torch.manual_seed(spec.seed or 0)
        if hasattr(kind, "from_config"):
            net = kind.from_config(config, trust_remote_code=False, **options)
        else:
            net = kind._from_config(config, **options)  # what from_config calls, for a class that is named
        _settle(net)
    return net


@torch.no_grad()
def _settle(net: Any) -> None:
    """Give the batch norms of an untrained network, where it has any, the statistics of soft coloured noise.

    They are made to normalise by what they have seen. Having seen nothing they pass everything on, and the signal of
    an untrained MobileNetV2 shrinks to 1e-21, where float32 knows no variance.
    """
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if not norms:
        return
    noise = torch.nn.functional.interpolate(torch.randn(16, 3, 8, 8), size=96, mode="bilinear")
    net.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None  # the plain average of what is seen, not a running one
    net(noise)


@contextlib.contextmanager
def _told(message: str) -> Iterator[None]:
    """Whatever the files of others provoke, as one CorruptError."""
    try:
        yield
    except (ConceptprobeError, MemoryError):
        raise
    except Exception as error:  # transformers, tokenizers and their validators raise anything, Exception itself too
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = "a file is damaged, or needs code that this version of transformers does not have"
        raise CorruptError(f"{message} ({why})", hint=hint) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers' own bars and notes off: what matters is checked and said by this file."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
