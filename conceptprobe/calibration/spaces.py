"""Planted pairs of models over one pool of words, for `shared`: what two spaces have in common is known.

Every model's vector of a word is a rotated latent vector of that word plus noise of the model's own. The latent vectors are
isotropic Gaussians, so the population's CKA has a closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conceptprobe.calibration.stimuli import pool
from conceptprobe.calibration.text import WIDTH, Stored, info, planted_context, rotation
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.stats.seeds import generator

SITES = ("resid_post.0",)


@dataclass(frozen=True)
class SharedWorld:
    """What two models, and their twins, have in common, in units of each model's own noise.

    meaning: latent vectors that the two models share, up to a rotation, and their twins do not; meaning_of: of all words,
    or of the background alone (terms then have vectors of each model's own). letters: latent vectors that everybody shares,
    twins included, as overlap of letters and tokens would make them.
    """

    meaning: float = 0.0
    meaning_of: str = "all"
    letters: float = 0.0
    words: int = 60
    positives: int = 12
    twins: int = 2

    @property
    def cka(self) -> float:
        """CKA of the two models in the population, where every word shares alike: s^4 / (s^2 + 1)^2 for shared parts of
        size s in isotropic noise of size 1; the noise and what is shared have equal width."""
        size = self.meaning**2 + self.letters**2
        return (size / (size + 1.0)) ** 2

    def run(self, questions: Sequence[str], *names: str, seed: int) -> RunContext:
        """One replication: new words, new models, new twins."""
        rng = generator(seed, "calibrate", *names)
        sets = pool(self.words, self.positives, rng)
        n = self.words + 2 * self.positives
        meaning, letters = rng.standard_normal((2, n, WIDTH))
        stored: Stored = {}
        subjects = []
        for name in ("one", "other"):
            infos = [info(f"random:{name}#{i}", "twin", "text") for i in range(self.twins)]
            own = meaning.copy()
            if self.meaning_of == "background":
                own[self.words :] = rng.standard_normal((n - self.words, WIDTH))
            for model in (info(name, "trained", "text"), *infos):
                x = rng.standard_normal((n, WIDTH)) + self.letters * letters @ rotation(WIDTH, rng)
                if model.kind == "trained":
                    x += self.meaning * own @ rotation(WIDTH, rng)
                for site in SITES:
                    stored[model.name, "background", site, "concept_span"] = x[: self.words]
                    stored[model.name, "terms_in_pool", site, "concept_span"] = x[self.words :]
            subjects.append(Subject(info(name, "trained", "text"), SITES, tuple(Subject(t, SITES) for t in infos)))
        return planted_context(sets, tuple(subjects), stored, seed=int(rng.integers(2**31)))
