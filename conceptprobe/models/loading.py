"""A model into memory, or its twin: safetensors only, no remote code, no network, and no surprises.

transformers draws at random what a file lacks, prints bars, and lets whatever a damaged file provokes through; here a
lacking weight is an error, and every failure is one message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch

from conceptprobe.errors import ConceptprobeError, CorruptError, MissingError, UsageError
from conceptprobe.kernels.attention import attention_for, check_kernel
from conceptprobe.models.base import ModelInfo
from conceptprobe.models.checkpoint import VOCABULARIES, holding
from conceptprobe.models.families.base import Family, at_path, eager_fails
from conceptprobe.models.options import Options


class FolderSpec(Protocol):
    """What loading asks of a spec: where its files lie, which part of them it is, and how it is wanted."""

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        ...

    @property
    def folders(self) -> tuple[Path, ...]:
        """Weights lie in the first; anything else in the first that has it."""
        ...

    @property
    def part(self) -> str:
        """Where a joint model's config.json keeps this tower's configuration; empty for a model of its own."""
        ...

    @property
    def projected(self) -> bool:
        """The file holds the projection onto the space shared with another tower."""
        ...

    @property
    def seed(self) -> int | None:
        """Of an untrained twin."""
        ...

    @property
    def options(self) -> Options:
        """How it is to be loaded."""
        ...


def device_of(options: Options) -> str:
    """The device these options name. Raises UsageError for a name torch does not know, MissingError for one not here."""
    if options.device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(options.device)
    except RuntimeError as error:
        raise UsageError(
            f"no device is called '{options.device}'", hint="auto, cpu, cuda, cuda:1 or mps, as torch names them"
        ) from error
    kind = device.type
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(kind, 0)
    if (device.index or 0) >= here:
        raise MissingError(
            f"device '{options.device}' is not here: torch sees {here} of kind {kind}",
            hint="--device cpu always works; `conceptprobe doctor` says what torch sees, and why",
        )
    return options.device


def ready(net: Any, options: Options) -> Any:
    """On its device, and for reading only; None stays None. What was spread or quantised lies where it belongs."""
    if net is None:
        return None
    placed = net if options.device_map or options.quantization else net.to(device_of(options))
    return placed.eval().requires_grad_(False)


def configuration(spec: FolderSpec) -> Any:
    """The configuration of the model, or of the tower it is."""
    from transformers import AutoConfig

    with told(f"the configuration of '{spec.info.name}' cannot be used"):
        folder = holding(spec.folders, ["config.json"]) or spec.folders[0]
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not spec.part:
            return config
        tower = getattr(config, spec.part)
        if spec.projected:
            # A tower's own entry may still hold the default; the joint model goes by the outer one.
            tower.projection_dim = config.projection_dim
        return tower


def tokenizer_of(spec: FolderSpec) -> Any:
    """Its tokenizer; one for a model and its twins, as long as no file of it changes."""
    with told(f"the tokenizer of '{spec.info.name}' cannot be used"):
        folder = holding(spec.folders, VOCABULARIES) or spec.folders[0]
        return _tokenizer(folder, tuple(sorted(_stamps(folder))))


@lru_cache(maxsize=4)
def _tokenizer(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    """(name, time, size) of every file that is no weights."""
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            status = path.stat()
            yield path.name, status.st_mtime_ns, status.st_size


def network(spec: FolderSpec, row: Family, config: Any, **settings: Any) -> tuple[Any, Any]:
    """The network that runs, and the projection that follows it in a tower that has one, else None; on their device.

    `settings` go to transformers. Raises CorruptError for damaged or lacking weights, MissingError for a package that
    the options need, UsageError for eager attention where transformers gets it wrong.
    """
    import transformers

    if spec.options.attention == "eager" and eager_fails(row, config):
        raise UsageError(
            f"transformers' eager attention is wrong for '{spec.info.name}' ({row.model_type} with {row.not_eager})",
            hint="leave --attn out: its fused attention is right",
        )
    wanted = row.projection if spec.projected else None
    kind = getattr(transformers, wanted.net if wanted else row.net)
    settings["attn_implementation"] = attention_for(row, device_of(spec.options), spec.options.attention).name
    with told(f"'{spec.info.name}' cannot be loaded: its weights do not fit its configuration"):
        net = (
            _trained(spec, kind, config, settings, row.unread)
            if spec.seed is None
            else _untrained(spec, kind, config, settings)
        )
        main, beside = (at_path(net, wanted.trunk), at_path(net, wanted.layer)) if wanted else (net, None)
    return ready(at_path(main, row.trunk), spec.options), ready(beside, spec.options)


def _trained(spec: FolderSpec, kind: Any, config: Any, settings: dict[str, Any], unread: tuple[str, ...]) -> Any:
    net, report = kind.from_pretrained(
        spec.folders[0],
        config=config,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        dtype=getattr(torch, spec.options.dtype),
        **_placement(spec.options),
        **settings,
    )
    # Counters of batch norms are of no use after training, and old files have none.
    lacking = sorted(
        name
        for name in report["missing_keys"]
        if not name.endswith("num_batches_tracked") and not name.startswith(unread)
    )
    if lacking:
        raise CorruptError(
            f"the weights of '{spec.info.name}' lack {len(lacking)} tensors, {lacking[0]} among them",
            hint="save the whole model again: what is lacking would be drawn at random",
        )
    return net


def check_here(options: Options) -> None:
    """MissingError where a package, a kernel or a device that these options ask for is not here; loads nothing."""
    wanted = {
        "bitsandbytes": "--quantize" if options.quantization else "",
        "accelerate": "--device-map" if options.device_map else "--quantize" if options.quantization else "",
    }
    for package, why in wanted.items():
        if why and find_spec(package) is None:
            raise MissingError(
                f"the package {package} is not installed, and {why} needs it",
                hint=f"pip install {package}, or leave {why} out",
            )
    check_kernel(options.attention)
    if not options.device_map:
        device_of(options)


def _placement(options: Options) -> dict[str, Any]:
    """What transformers is told of quantisation and of several devices."""
    check_here(options)
    placement: dict[str, Any] = {}
    if options.quantization:
        from transformers import BitsAndBytesConfig

        placement["quantization_config"] = BitsAndBytesConfig(**{f"load_in_{options.quantization}": True})
    if options.device_map or options.quantization:
        placement["device_map"] = options.device_map or {"": device_of(options)}
    return placement


def _untrained(spec: FolderSpec, kind: Any, config: Any, settings: dict[str, Any]) -> Any:
    """Drawn in float32 whatever is asked for, then cast: in every dtype it is the same twin up to rounding."""
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to move
        torch.manual_seed(spec.seed or 0)
        settings = {**settings, "dtype": torch.float32}
        if hasattr(kind, "from_config"):
            net = kind.from_config(config, trust_remote_code=False, **settings)
        else:
            net = kind._from_config(config, **settings)  # what from_config calls, for a class that is named
        _settle(net)
    return net.to(getattr(torch, spec.options.dtype))


@torch.no_grad()
def _settle(net: Any) -> None:
    """Give the batch norms of an untrained network of pictures, where it has any, the statistics of soft coloured noise.

    They are made to normalise by what they have seen. Having seen nothing they pass everything on, and the signal of
    an untrained MobileNetV2 shrinks to 1e-21, where float32 knows no variance.
    """
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if not norms or net.main_input_name != "pixel_values":
        return
    noise = torch.nn.functional.interpolate(torch.randn(16, 3, 8, 8), size=96, mode="bilinear")
    net.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None  # the plain average of what is seen, not a running one
    net(noise)


@contextlib.contextmanager
def told(message: str) -> Iterator[None]:
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
def quiet() -> Iterator[None]:
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
