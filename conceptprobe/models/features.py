"""Sounds -> what an audio network reads, as the model's own folder says: at its rate, as waveform or spectrogram.

The settings decide numbers, so they are read when a model is resolved and enter its hash; the feature extractor itself
is that of transformers, made of exactly these settings and given one sound at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from conceptprobe.errors import CorruptError, MissingError
from conceptprobe.models.checkpoint import Checkpoint, holding
from conceptprobe.models.families.audio import AudioFamily
from conceptprobe.models.formats import read_json
from conceptprobe.models.processor import JOINT_FILE, OWN_FILE, ProcessorSettings

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

NESTED = ("feature_extractor", "audio_processor")
"""Entries of the file of a joint processor that hold the settings."""
_SAVE = "save it again: AutoFeatureExtractor.from_pretrained(...).save_pretrained(folder)"


def feature_settings(checkpoint: Checkpoint, row: AudioFamily) -> ProcessorSettings:
    """The settings in a model's folder, as transformers looks for them.

    Raises MissingError where there are none, CorruptError for a file that is no JSON object, names no sampling rate or
    another feature extractor than the family's, or adds noise, so that no number would come twice.
    """
    joint = holding(checkpoint.folders, [JOINT_FILE])
    found = read_json(joint / JOINT_FILE) if joint else {}
    nested = next((found[entry] for entry in NESTED if isinstance(found.get(entry), dict)), None)
    if nested is not None:
        return _checked(ProcessorSettings(nested, JOINT_FILE), checkpoint.name, row)
    own = holding(checkpoint.folders, [OWN_FILE])
    if own is None:
        raise MissingError(
            f"'{checkpoint.name}' has no {OWN_FILE}, which says at what rate and how its sounds are read",
            hint=_SAVE.replace("it again", "it there"),
        )
    return _checked(ProcessorSettings(read_json(own / OWN_FILE), OWN_FILE), checkpoint.name, row)


def _checked(settings: ProcessorSettings, name: str, row: AudioFamily) -> ProcessorSettings:
    rate = settings.values.get("sampling_rate")
    named = settings.values.get("feature_extractor_type", row.extractor)
    if not isinstance(rate, int) or rate <= 0:
        raise CorruptError(f"{settings.origin} of '{name}' says no sampling rate of sounds", hint=_SAVE)
    if named != row.extractor:
        raise CorruptError(
            f"{settings.origin} of '{name}' names the feature extractor {named}; {row.model_type} has {row.extractor}",
            hint="it belongs to another model, or its family needs a row of its own in models/families/audio.py",
        )
    if settings.values.get("dither"):
        raise CorruptError(
            f"{settings.origin} of '{name}' adds random noise to sounds (dither {settings.values['dither']})",
            hint="set dither to 0 there: it is of use in training, and with it no number comes twice",
        )
    return settings


class FeatureExtractor:
    """Sounds -> inputs of the network; safe to use from several threads."""

    def __init__(self, settings: ProcessorSettings, row: AudioFamily) -> None:
        """Imports transformers, and raises what it raises for bad settings."""
        import transformers

        with warnings.catch_warnings():
            # Some published settings have more mel bands than bins of low frequencies, of which transformers warns.
            warnings.simplefilter("ignore", UserWarning)
            self.made = getattr(transformers, row.extractor).from_dict(dict(settings.values))
        self.rate = int(self.made.sampling_rate)
        """Samples per second that the network reads."""
        self._inputs = row.inputs

    def __call__(self, sound: Float[np.ndarray, " n"], name: str) -> Mapping[str, np.ndarray]:
        """The inputs for one sound at `rate`, without the axis of a batch; `name` is what a message calls it.

        Raises CorruptError for settings that make no inputs.
        """
        import numpy as np

        try:
            made = self.made(sound, sampling_rate=self.rate, return_tensors="np")
            inputs = {key: np.asarray(made[key])[0] for key in self._inputs}
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            why = str(error).strip().partition("\n")[0]
            raise CorruptError(
                f"the feature extractor of the model cannot take {name} ({why})",
                hint=f"{OWN_FILE} of the model is not what its feature extractor expects",
            ) from error
        return {k: v if v.dtype == bool else np.ascontiguousarray(v, dtype=np.float32) for k, v in inputs.items()}
