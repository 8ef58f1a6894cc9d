"""What a model is to the rest of the project: a record that can be read without loading it, and named sites.

`ModelSpec` is light (it reads config.json and the header of the weights, and hashes files): plans, cache keys and
warm runs need nothing more. `ModelSpec.load()` is the one heavy step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from conceptprobe.stimuli.stimulus import Stimulus

Pooling = Literal["concept_span", "context", "last", "mean", "cls", "image_tokens", "text_tokens"]
POOLINGS: tuple[Pooling, ...] = ("concept_span", "context", "last", "mean", "cls")
"""What every model of text offers."""
ALL_POOLINGS: tuple[Pooling, ...] = (*POOLINGS, "image_tokens", "text_tokens")
"""`concept_span`: mean over the tokens of the span; `context`: mean over all other tokens; `last`: the last token;
`mean`: all tokens; `cls`: the first position as the tokenizer gives it. Special tokens never count, but for `cls`.
Of a picture, `mean` is over its patches or places in space, `cls` the class token; a model says which it offers.
Where a model reads a picture as tokens of its language model, perhaps with a text beside it, `image_tokens` is the mean
over the tokens of the picture, `text_tokens` over those of the text, and `mean` over both."""

Kind = Literal["trained", "twin", "static"]
"""`trained`: a trained network; `twin`: the same architecture, untrained; `static`: word vectors or word counts."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a model before it is loaded.

    `d_model` is the width of `final`; blocks of a network in stages (Swin, ConvNets) are narrower before its end.
    `lineage` names what the model was initialised from, distilled from or trained on: agreement between models that
    share an entry is never counted as convergence. `sha256` covers weights, configuration, and tokenizer or processor.
    """

    name: str
    source: str
    revision: str
    sha256: str
    family: str
    modalities: tuple[str, ...]
    n_layers: int
    d_model: int
    n_params: int
    dtype: str
    lineage: tuple[str, ...] = ()
    kind: Kind = "trained"

    def related_to(self, other: ModelInfo) -> bool:
        """True where the two share weights, targets or training text, or are the same model."""
        return self.sha256 == other.sha256 or bool(set(self.lineage) & set(other.lineage))


@runtime_checkable
class Model(Protocol):
    """A loaded model."""

    info: ModelInfo
    sites: tuple[str, ...]
    poolings: tuple[Pooling, ...]

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], dict[tuple[str, Pooling], Float[np.ndarray, "b d"]]]]:
        """Batches as (row numbers in `stimuli`, {(site, pooling): float32 rows}); the order of batches is free.

        One forward pass serves every site and pooling asked for.
        """
        ...


@runtime_checkable
class ModelSpec(Protocol):
    """A model that was found but not loaded; made by `conceptprobe.models.resolve`."""

    @property
    def info(self) -> ModelInfo:
        """What is known without loading it."""
        ...

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites, in the order of depth: embed, resid_post.0, ..., final, pooled (where the model has one).

        None for a joint model, whose towers have them (`conceptprobe.models.towers`).
        """
        ...

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """Poolings the model offers, the usual one first."""
        ...

    def load(self) -> Model:
        """The loaded model; the only step that imports torch."""
        ...

    def twin(self, seed: int) -> ModelSpec:
        """Same architecture (or vocabulary), untrained, from that seed."""
        ...
