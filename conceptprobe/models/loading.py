"""A text model into memory, or its twin: safetensors only, no remote code, no network, float32, and no surprises.

transformers draws at random what a file lacks, prints bars, and lets whatever a damaged file provokes through; here a
lacking weight is an error, and every failure is one message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from conceptprobe.errors import ConceptprobeError, CorruptError
from conceptprobe.kernels.attention import attention_for
from conceptprobe.models.blocks import Family, family
from conceptprobe.models.text import TextModel

if TYPE_CHECKING:
    from conceptprobe.models.folder import TextSpec


def load_text_model(spec: TextSpec, *, device: str | None = None) -> TextModel:
    """Load a model, or draw its twin, on `device` (default: the GPU where torch sees one, else the CPU).

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    row = family(spec.info.family)
    kernel = attention_for(row or Family(spec.info.family, "", sdpa=False), device)
    options: dict[str, Any] = {"attn_implementation": kernel.name, "dtype": torch.float32}
    if row is not None and row.pooler:
        options["add_pooling_layer"] = spec.has_pooler
    name = f"'{spec.info.name}'"
    with _quiet():
        from transformers import AutoConfig, AutoTokenizer

        with _told(f"the configuration of {name} cannot be used"):
            config = AutoConfig.from_pretrained(spec.folder, local_files_only=True, trust_remote_code=False)
            config.use_cache = False
        with _told(f"the tokenizer of {name} cannot be used"):
            tokenizer = AutoTokenizer.from_pretrained(spec.folder, local_files_only=True, trust_remote_code=False)
        with _told(f"{name} cannot be loaded: its weights do not fit its configuration"):
            net = _trained(spec, config, options) if spec.seed is None else _untrained(spec.seed, config, options)
    net = net.to(device).eval().requires_grad_(False)
    return TextModel(spec, net, tokenizer, row=row)


def _trained(spec: TextSpec, config: Any, options: dict[str, Any]) -> Any:
    from transformers import AutoModel

    net, report = AutoModel.from_pretrained(
        spec.folder,
        config=config,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        **options,
    )
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise CorruptError(
            f"the weights of '{spec.info.name}' lack {len(lacking)} tensors, {lacking[0]} among them",
            hint="save the whole model again: what is lacking would be drawn at random",
        )
    return net


def _untrained(seed: int, config: Any, options: dict[str, Any]) -> Any:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to move
        torch.manual_seed(seed)
        return AutoModel.from_config(config, trust_remote_code=False, **options)


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
