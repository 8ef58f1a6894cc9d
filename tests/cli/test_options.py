"""The options of the main commands are a promise: a change here is a change for everybody's scripts and frozen plans."""

from __future__ import annotations

import pytest
from typer.main import get_group

from conceptprobe.cli.app import app
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.frozen import FrozenSettings

SHARED = [
    "--models",
    "-m",
    "--background",
    "--questions",
    "--twins",
    "--permutations",
    "--seed",
    "--human",
    "--results",
]
LOADING = [
    "--dtype",
    "--quantize",
    "--device",
    "--device-map",
    "--attn",
    "--chat",
    "--prefix",
    "--truncate",
    "--revision",
    "--cache-dir",
    "--offline",
]
OPTIONS = {
    "run": ["concept", *SHARED, "--plugin", "--plan", "--json", *LOADING],
    "plan": ["concept", *SHARED, "--freeze", "--fetch", "--json", *LOADING],
    "doctor": ["--model", "--json", *LOADING],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_are_what_they_were(name: str) -> None:
    command = get_group(app).commands[name]
    assert [option for parameter in command.params for option in parameter.opts] == OPTIONS[name]


def test_every_setting_that_decides_findings_is_frozen() -> None:
    """A new field of the configuration is frozen with the plan, unless it says only where files lie."""
    not_deciding = {"results", "plugins", "cache_dir", "offline"}
    assert {"concept", *FrozenSettings.model_fields} == set(RunConfig.model_fields) - not_deciding
