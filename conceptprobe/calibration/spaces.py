"""Planted pairs of models over one pool of words, for `shared`: what two spaces have in common is known.

Every model's vector of a word is a rotated latent vector of that word plus noise of the model's own. A few directions of the
latent vectors are what texts tell of a word: they are the same in every replication, word statistics know them, and control
concepts and kinds of words follow from them. The others are drawn anew, and so are all words of the concept: they share a
centre among the directions that texts tell of, in the models as in the word statistics, in each along a direction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.calibration.stimuli import pool
from conceptprobe.calibration.text import WIDTH, Stored, info, planted_context, rotation
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.pool_words import RULER
from conceptprobe.stats.seeds import generator

if TYPE_CHECKING:
    from jaxtyping import Float

SITES = ("resid_post.0",)
TOLD = 10
"""Directions of the latent vectors that texts tell of."""
_PROXIES = 3


@dataclass(frozen=True)
class SharedWorld:
    """What two models, and their twins, have in common, in units of each model's own noise.

    meaning: latent vectors that the two models share, up to a rotation, and their twins do not; meaning_of: of all words,
    or of the background alone (terms then have vectors of each model's own). letters: latent vectors that everybody shares,
    twins included, as overlap of letters and tokens would make them. gathered: length of the centre that the concept's
    words share, 0: they have nothing in common. stressed: the models see that centre so many times as long as texts tell of.
    """

    meaning: float = 0.0
    meaning_of: str = "all"
    letters: float = 0.0
    gathered: float = 2.0
    stressed: float = 1.0
    words: int = 240
    positives: int = 20
    twins: int = 2

    @property
    def cka(self) -> float:
        """CKA of the two models in the population, where nothing is gathered and every word shares alike: s^4 / (s^2 + 1)^2
        for shared parts of size s in isotropic noise of size 1; the noise and what is shared have equal width."""
        size = self.meaning**2 + self.letters**2
        return (size / (size + 1.0)) ** 2

    @property
    def n(self) -> int:
        """Words of the pool, positive terms and as many near controls, in this order."""
        return self.words + 2 * self.positives

    @cached_property
    def told(self) -> Float[np.ndarray, "n told"]:
        """What texts tell of every word, the same in every replication; word statistics see it, a little blurred."""
        rng = generator(0, "calibrate", "told", str(self.words), str(self.positives))
        return rng.standard_normal((self.n, TOLD)) + self._centre(rng) * self.gathered

    def _centre(self, rng: np.random.Generator) -> Float[np.ndarray, "n told"]:
        """A direction of length 1 for the positive terms, none for all others."""
        direction = rng.standard_normal(TOLD)
        out = np.zeros((self.n, TOLD))
        out[self.words : self.words + self.positives] = direction / np.linalg.norm(direction)
        return out

    def latent(self, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
        """Latent vectors of one replication: what texts tell of the pool's words, and everything else drawn anew."""
        out = rng.standard_normal((self.n, WIDTH))
        out[: self.words, :TOLD] = self.told[: self.words]
        out[:, :TOLD] += self._centre(rng) * self.gathered * self.stressed
        return out

    def run(self, questions: Sequence[str], *names: str, seed: int) -> RunContext:
        """One replication: new terms, new models, new twins."""
        rng = generator(seed, "calibrate", *names)
        sets = pool(self.words, self.positives, rng, self._kinds())
        meaning, letters = self.latent(rng), self.latent(rng)
        stored = self._statistics()
        subjects = []
        for name in ("one", "other"):
            infos = [info(f"random:{name}#{i}", "twin", "text") for i in range(self.twins)]
            own = meaning.copy()
            if self.meaning_of == "background":
                own[self.words :] = self.latent(rng)[self.words :]
            for model in (info(name, "trained", "text"), *infos):
                x = rng.standard_normal((self.n, WIDTH)) + self.letters * letters @ rotation(WIDTH, rng)
                if model.kind == "trained":
                    x += self.meaning * own @ rotation(WIDTH, rng)
                for site in SITES:
                    stored |= self._halves(model.name, site, x)
            subjects.append(Subject(info(name, "trained", "text"), SITES, tuple(Subject(t, SITES) for t in infos)))
        return planted_context(sets, tuple(subjects), stored, seed=int(rng.integers(2**31)))

    def _kinds(self) -> list[str]:
        """The kind of each pool word: the direction it lies farthest along, and on which side."""
        told = self.told[: self.words]
        return [
            f"{axis}{'+' if row[axis] > 0 else '-'}"
            for row, axis in zip(told, np.abs(told).argmax(axis=1), strict=True)
        ]

    def _statistics(self) -> Stored:
        """Word statistics: vectors of what texts tell, and a concreteness that has nothing to do with it."""
        rng = generator(0, "calibrate", "statistics")
        vectors = self.told + 0.3 * rng.standard_normal((self.n, TOLD))
        return self._halves(RULER, "embed", vectors) | self._halves(
            RULER, "proxies", rng.standard_normal((self.n, _PROXIES))
        )

    def _halves(self, name: str, site: str, x: Float[np.ndarray, "n d"]) -> Stored:
        return {
            (name, "background", site, "concept_span"): x[: self.words],
            (name, "terms_in_pool", site, "concept_span"): x[self.words :],
        }
