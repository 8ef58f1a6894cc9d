"""RunConfig: one run as typed, every field documented where it is declared."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.pipeline.defaults import ASKED, DEFAULT_MODELS, NOT_ASKED


class RunConfig(BaseModel):
    """What a run depends on. Frozen; unknown names raise UsageError with the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
