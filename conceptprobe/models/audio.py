"""Audio models of the transformers library: one forward pass gives every site under every pooling.

The base model runs without its head or decoder and stops above the highest wanted block. Sounds are decoded by the one
reader of the project, at the rate the model asks for, and prepared one by one by the model's own feature extractor. No
sound is cut or padded to fit others: a batch holds inputs of one shape, because published models of raw waveforms were
partly trained without a mask, and padding would change their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.audio_places import places_of
from conceptprobe.models.base import Pooling
from conceptprobe.models.batching import side_by_side
from conceptprobe.models.families.audio import AUDIO_FAMILIES, AudioFamily
from conceptprobe.models.families.base import blocks_of, branches_of
from conceptprobe.models.features import FeatureExtractor
from conceptprobe.models.hooks import Pooled, Reader, Rows, as_rows
from conceptprobe.models.loading import configuration, network, quiet, told
from conceptprobe.models.pooling import check_asked, pooling_weights
from conceptprobe.stimuli.sounds import read_sound

if TYPE_CHECKING:
    from jaxtyping import Float

    from conceptprobe.models.audio_folder import AudioSpec
    from conceptprobe.stimuli.stimulus import Stimulus

BATCH_SOUNDS = 8
"""Sounds of one batch: each is hundreds of positions, so that more bring no speed on a CPU and cost memory."""


@dataclass(frozen=True)
class Heard:
    """One sound as the network gets it."""

    samples: int
    """Its length at the model's rate, before any padding."""
    inputs: Mapping[str, np.ndarray]

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Of each input: sounds of one shape go together."""
        return tuple(values.shape for values in self.inputs.values())


def load_audio_model(spec: AudioSpec) -> AudioModel:
    """Load an audio model, or draw its twin.

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs; what `device_of` raises.
    """
    row = AUDIO_FAMILIES[spec.info.family]
    with quiet():
        config = configuration(spec)
        with told(f"the feature extractor of '{spec.info.name}' cannot be used"):
            extractor = FeatureExtractor(spec.processor, row)
        net, projection = network(spec, row, config)
    return AudioModel(spec, net, extractor, row=row, projection=projection)


class AudioModel:
    """A loaded audio model; made by `AudioSpec.load()`."""

    def __init__(
        self,
        spec: AudioSpec,
        net: Any,
        extractor: FeatureExtractor,
        *,
        row: AudioFamily,
        projection: torch.nn.Module | None = None,
        batch_sounds: int = BATCH_SOUNDS,
    ) -> None:
        """`projection` follows the pooled output of a tower; `batch_sounds` changes speed, never numbers."""
        self.info = spec.info
        self.sites = spec.sites
        self.poolings = spec.poolings
        self.net = net
        self.extractor = extractor
        self.row = row
        self.blocks = blocks_of(net, row, spec.info.n_layers, spec.info.name)
        self.reader = Reader(self.blocks, branches_of(self.blocks, row, spec.info.name))
        self.batch_sounds = batch_sounds
        self.places = places_of(row.layout, net.config, extractor.made)
        self._specials = spec.specials
        self._projection = projection or torch.nn.Identity()

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], Rows]]:
        """Batches of (row numbers, {(site, pooling): float32 rows}); see the contract in base.py.

        `pooled` is the model's own pooling: the same rows under every pooling asked for. Raises what read_sound raises
        for a sound that is gone, changed or damaged, and UsageError naming one that is too long or too short.
        """
        check_asked(self, stimuli, poolings)

        def run(numbers: range) -> list[tuple[list[int], Rows]]:
            heard = {n: self._heard(stimuli[n]) for n in numbers}
            done = []
            for shape in dict.fromkeys(h.shape for h in heard.values()):
                alike = [n for n in numbers if heard[n].shape == shape]
                found = self._forward([heard[n] for n in alike], wanted, poolings)
                done.append((alike, as_rows(found, self.info.name, poolings)))
            return done

        wanted = set(sites)
        step = self.batch_sounds
        batches = [range(start, min(start + step, len(stimuli))) for start in range(0, len(stimuli), step)]
        with self.reader.reading(wanted), side_by_side(len(batches), self.net.device) as mapped:
            for done in mapped(run, batches):
                yield from done

    def _heard(self, stimulus: Stimulus) -> Heard:
        sound = read_sound(Path(stimulus.file), stimulus.content, rate=self.extractor.rate)
        self._check_length(len(sound), stimulus.id)
        return Heard(len(sound), self.extractor(sound, f"the sound of stimulus '{stimulus.id}'"))

    def _check_length(self, samples: int, name: str) -> None:
        """UsageError for a sound that the feature extractor would cut, or of which no position would be left."""
        rate, longest, shortest = self.extractor.rate, self.places.longest, self.places.shortest
        if longest is not None and samples > longest:
            raise UsageError(
                f"stimulus '{name}' is a sound of {samples / rate:.2f} s; '{self.info.name}' takes {longest / rate:.2f} s",
                hint="cut the sound to what it is to say: nothing is cut without being asked for",
            )
        if samples < shortest:
            raise UsageError(
                f"stimulus '{name}' is a sound of {samples / rate:.4f} s; '{self.info.name}' hears nothing in less than"
                f" {shortest / rate:.4f} s",
                hint="leave the sound out, or name a longer one",
            )

    @torch.inference_mode()
    def _forward(self, heard: Sequence[Heard], wanted: set[str], poolings: Sequence[Pooling]) -> Pooled:
        """{site: [b, p, d]}; for `pooled` [b, d]."""
        found: Pooled = {}

        def keep(site: str, hidden: torch.Tensor) -> None:
            # [b, t, d], or a feature map [b, d, frequencies, times]
            shape = tuple(hidden.shape[2:]) if hidden.ndim == 4 else (hidden.shape[1] - self._specials,)
            positions = hidden.flatten(2).mT if hidden.ndim == 4 else hidden
            weights = torch.from_numpy(self._weights(heard, shape, poolings)).to(hidden.device)
            found[site] = torch.bmm(weights, positions.float())

        inputs = {name: self._stacked([h.inputs[name] for h in heard]) for name in self.row.inputs}
        try:
            out = self.reader.forward(self.net, inputs, keep)
        except torch.OutOfMemoryError:
            raise
        except (ValueError, RuntimeError) as error:
            why = str(error).strip().partition("\n")[0]
            raise CorruptError(
                f"'{self.info.name}' does not take the sounds its feature extractor makes ({why})",
                hint="the settings of the feature extractor in the folder belong to another model",
            ) from error
        if "final" in wanted:
            keep("final", out.last_hidden_state)
        if "pooled" in wanted:
            found["pooled"] = self._projection(out.pooler_output)
        return found

    def _stacked(self, values: Sequence[np.ndarray]) -> torch.Tensor:
        stacked = torch.from_numpy(np.stack(values)).to(self.net.device)
        return stacked.to(self.net.dtype) if stacked.is_floating_point() else stacked

    def _weights(
        self, heard: Sequence[Heard], shape: tuple[int, ...], poolings: Sequence[Pooling]
    ) -> Float[np.ndarray, "b p t"]:
        """Weights of every position, special ones first. UsageError unless the family's layout has so many: a table row
        may be wrong."""
        held = [self.places.with_sound(h.samples, shape) for h in heard]
        if any(one is None for one in held):
            raise UsageError(
                f"'{self.info.name}' ({self.row.model_type}) has {' x '.join(map(str, shape))} positions, which is not"
                f" the layout '{self.row.layout}' behind {self._specials} special ones",
                hint="correct the row in models/families/audio.py",
            )
        content = np.stack([one for one in held if one is not None])
        content = np.pad(content, ((0, 0), (self._specials, 0)))
        return pooling_weights(poolings, real=np.ones_like(content), content=content, in_span=np.zeros_like(content))
