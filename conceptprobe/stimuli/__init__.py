"""Stimuli: YAML -> Concept -> StimulusSet.

A concept file is read with the place of every value (`source`), given its shape (`schema`, `draft`), checked by rules
(`rules/`, codes in `problems`), measured (`difficulty`) and turned into what a model is shown (`expansion`): texts, and
pictures and sounds as files (`media`) that `pictures` and `sounds` read. Names are exported lazily: nothing is
imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conceptprobe.stimuli.expansion import expand, expand_background, expand_background_media, expand_in_pool
    from conceptprobe.stimuli.loading import Report, check_files, load_background, load_concept, load_either
    from conceptprobe.stimuli.locate import find_concept_file, known_concepts
    from conceptprobe.stimuli.pictures import read_picture
    from conceptprobe.stimuli.problems import ConceptFileError, Problem
    from conceptprobe.stimuli.sounds import read_sound

_HOMES = {
    "ConceptFileError": "problems",
    "Problem": "problems",
    "Report": "loading",
    "check_files": "loading",
    "expand": "expansion",
    "expand_background": "expansion",
    "expand_background_media": "expansion",
    "expand_in_pool": "expansion",
    "find_concept_file": "locate",
    "known_concepts": "locate",
    "load_background": "loading",
    "load_concept": "loading",
    "load_either": "loading",
    "read_picture": "pictures",
    "read_sound": "sounds",
}

__all__ = [
    "ConceptFileError",
    "Problem",
    "Report",
    "check_files",
    "expand",
    "expand_background",
    "expand_background_media",
    "expand_in_pool",
    "find_concept_file",
    "known_concepts",
    "load_background",
    "load_concept",
    "load_either",
    "read_picture",
    "read_sound",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
