"""RunConfig: one run as typed, every field documented where it is declared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.models.options import Attention, Dtype, Options, Quantization, Truncation
from conceptprobe.pipeline.defaults import ASKED, DEFAULT_MODELS, NOT_ASKED


class LoadingConfig(BaseModel):
    """How models are loaded and shown their stimuli, as typed. Frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Dtype = "float32"
    """Of weights and hidden states, of all models but word vectors; what is kept is float32."""
    quantize: Quantization = ""
    """Weights of trained models in 8 or 4 bits, by bitsandbytes."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`; `auto`: the accelerator torch sees, else the CPU."""
    device_map: Literal["", "auto"] = ""
    """`auto`: each model spread over all accelerators."""
    attn: Attention = "auto"
    """Attention kernel; `auto`: fused where the family takes it."""
    chat: bool = False
    """Texts as the user's turn of each model's chat template. Word vectors and pictures take no notice, nor below."""
    prefix: str = ""
    """Put before every text, and never pooled."""
    truncate: Truncation = ""
    """Side that a text too long for a model is cut at; empty: it is refused."""
    revision: str = ""
    """Branch, tag or commit of the hub models that name none."""
    cache_dir: Path | None = None
    """Folder of hub downloads; none: the hub's own."""
    offline: bool = False
    """The hub is never asked: what is not in the local cache is missing."""

    @property
    def options(self) -> Options:
        """The same as `Options` of the models."""
        return Options(
            dtype=self.dtype,
            quantization=self.quantize,
            chat=self.chat,
            prefix=self.prefix,
            truncate=self.truncate,
            device=self.device,
            device_map=self.device_map,
            attention=self.attn,
            revision=self.revision,
            cache_dir=str(self.cache_dir.expanduser()) if self.cache_dir else "",
        )

    @field_validator("device")
    @classmethod
    def _a_device(cls, name: str) -> str:
        if not _DEVICE.fullmatch(name):
            raise UsageError(
                f"no device is called '{name}'.{did_you_mean(name, ('auto', 'cpu', 'cuda', 'mps'))}",
                hint="--device is auto, cpu, cuda, cuda:1 (the second one) or mps",
            )
        return name

    @field_validator("cache_dir")
    @classmethod
    def _a_folder(cls, path: Path | None) -> Path | None:
        if path is not None and path.expanduser().is_file():
            raise UsageError(f"'{path}' is a file", hint="--cache-dir names a folder; one that is not there is made")
        return path

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.device_map and self.device != "auto":
            raise UsageError(
                f"--device {self.device} is one device, --device-map {self.device_map} spreads over all of them",
                hint="leave one of the two out",
            )
        return self


class RunConfig(LoadingConfig):
    """What a run depends on. Frozen; unknown names raise UsageError with the nearest known one."""

    concept: str
    """Path of a concept file, or the bare name of one."""
    models: tuple[str, ...] = DEFAULT_MODELS
    """Names as `conceptprobe list models` shows them, hub ids, or folders."""
    background: str = "background"
    """Path or name of the pool that `shared` and `crossmodal` compare models on."""
    questions: tuple[str, ...] = ASKED
    """Questions to ask, by name."""
    twins: int = Field(default=3, ge=1, le=20)
    """Random twins per model: same architecture, untrained, seeds 0, 1, ..."""
    permutations: int = Field(default=999, ge=99, le=1_000_000)
    """Draws per null, raised to max(999, 100 per headline row). The smallest p is 1/(draws + 1)."""
    seed: int = Field(default=0, ge=0)
    """Of folds, exchanges and pictures; the twins have seeds of their own."""
    human: Path | None = None
    """Folder of word-similarity tables (`word1 word2 score`) that `shared` holds every model's similarities to."""
    results: Path = Path("results")
    """Folder that run folders are written to, as results/<concept>/<run-id>/."""
    plugins: tuple[Path, ...] = ()
    """Python files that register metrics, probes or figures. They run code."""

    @field_validator("questions")
    @classmethod
    def _known_questions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in ASKED:
                reason = NOT_ASKED.get(name)
                raise UsageError(
                    f"question '{name}' cannot be asked here: {reason}"
                    if reason
                    else f"no question named '{name}'.{did_you_mean(name, (*ASKED, *NOT_ASKED))}",
                    hint=f"this version asks {', '.join(ASKED)}",
                )
        return tuple(q for q in ASKED if q in names)

    @field_validator("models")
    @classmethod
    def _some_models(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise UsageError("no model was named", hint="`conceptprobe list models` shows the zoo")
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _human_is_read(self) -> RunConfig:
        if self.human is not None and "shared" not in self.questions:
            raise UsageError(
                "human word similarities are read by the question shared, which is not asked",
                hint="add it to --questions, or leave out --human",
            )
        return self


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
