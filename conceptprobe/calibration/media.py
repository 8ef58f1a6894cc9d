"""Planted pairs of a text model and an image model over one latent space, for `crossmodal`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conceptprobe.calibration.stimuli import captioned
from conceptprobe.calibration.text import WIDTH, Stored, info, planted_context
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.stats.seeds import generator
from conceptprobe.stimuli.stimulus import Modality

SITES = ("resid_post.0",)
_CATEGORIES = 5
_LATENT = 8


@dataclass(frozen=True)
class MediaWorld:
    """Two spaces over one latent space, in units of the noise.

    agreement: the label along one direction of the latent space; apart: in each space along a direction of its own;
    categories: how far ordinary categories of the background lie from each other in the latent space.
    """

    agreement: float = 0.0
    apart: float = 0.0
    categories: float = 1.5
    pairs: int = 24
    ground: int = 80
    twins: int = 3

    def run(self, questions: Sequence[str], *names: str, seed: int, units: int | None = None) -> RunContext:
        """One replication: new items, new models. Twins see noise."""
        rng = generator(seed, "calibrate", *names)
        pairs = units or self.pairs
        sets = captioned(pairs, self.ground, _CATEGORIES)
        label = np.tile([1.0, -1.0], pairs)
        items = rng.standard_normal((2 * pairs, _LATENT))
        items[:, 0] += self.agreement * label
        centres = self.categories * rng.standard_normal((_CATEGORIES, _LATENT))
        ground = rng.standard_normal((self.ground, _LATENT)) + centres[np.arange(self.ground) % _CATEGORIES]
        stored: Stored = {}
        subjects = []
        modalities: tuple[tuple[str, Modality, str], ...] = (
            ("reader", "text", "captions"),
            ("viewer", "image", "pictures"),
        )
        for name, modality, half in modalities:
            infos = [info(f"random:{name}#{i}", "twin", modality) for i in range(self.twins)]
            for model in (info(name, "trained", modality), *infos):
                sees = rng.standard_normal((_LATENT, WIDTH)) * (model.kind == "trained")
                own = rng.standard_normal(WIDTH) * (model.kind == "trained")
                for site in SITES:
                    x = rng.standard_normal((2 * pairs, WIDTH)) + items @ sees + self.apart * np.outer(label, own)
                    stored[model.name, half, site, "mean"] = x
                    pool = rng.standard_normal((self.ground, WIDTH)) + ground @ sees
                    stored[model.name, f"background_{half}", site, "mean"] = pool
            subjects.append(Subject(info(name, "trained", modality), SITES, tuple(Subject(t, SITES) for t in infos)))
        return planted_context(sets, tuple(subjects), stored, seed=int(rng.integers(2**31)))
