"""Sounds for the reference: prepared one by one by the feature extractor that transformers itself finds in the folder.

Decoding and resampling, and which positions stand where there is sound, are this project's own here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from conceptprobe.doctor.plain import Grid, Places, Prepared, Show
from conceptprobe.models.audio_places import places_of
from conceptprobe.models.base import Pooling
from conceptprobe.models.checkpoint import holding
from conceptprobe.models.processor import JOINT_FILE, OWN_FILE
from conceptprobe.stimuli.sounds import read_sound

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus


class ShowAudio(Show):
    """One sound -> waveform or spectrogram."""

    def __init__(self, spec: Any, row: Any, net: Any) -> None:
        from transformers import AutoFeatureExtractor

        super().__init__(spec, row, net)
        folder = holding(spec.folders, [JOINT_FILE]) or holding(spec.folders, [OWN_FILE])
        self.extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.places = places_of(row.layout, net.config, self.extractor)

    def __call__(self, stimulus: Stimulus) -> Prepared:
        """The inputs and the positions of one sound."""
        rate = self.extractor.sampling_rate
        samples = read_sound(Path(stimulus.file), stimulus.content, rate=rate)
        made = self.extractor(samples, sampling_rate=rate, return_tensors="np")
        inputs = {name: torch.as_tensor(made[name]) for name in self.row.inputs}
        pools: dict[Pooling, Places] = {"mean": self._holding(len(samples)), "cls": [0]}
        return Prepared(inputs, {pooling: places for pooling, places in pools.items() if pooling in self.spec.poolings})

    def _holding(self, samples: int) -> Callable[[Grid], list[int]]:
        first = self.spec.specials

        def positions(grid: Grid) -> list[int]:
            held = self.places.with_sound(samples, grid if len(grid) > 1 else (grid[0] - first,))
            return [] if held is None else [first + k for k in range(len(held)) if held[k]]

        return positions

    def pooled(self, out: Any) -> torch.Tensor:
        """The projected vector of a tower, else what transformers calls the pooler's output."""
        found = getattr(out, "audio_embeds", None)
        vector: torch.Tensor = (out.pooler_output if found is None else found)[0]
        return vector
