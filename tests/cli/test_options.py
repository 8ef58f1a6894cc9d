"""The options of the main commands are a promise: a change here is a change for everybody's scripts and frozen plans."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from cli.conftest import assert_a_message_a_hint_and_a_code
from conceptprobe.cli.app import app
from conceptprobe.cli.options import LOADING as LOADING_OPTIONS
from conceptprobe.cli.options import LOADING_SECTION, Loading, with_loading
from conceptprobe.models.options import Options
from conceptprobe.pipeline.config import LoadingConfig, RunConfig
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
    "extract": ["stimuli", "--model", "-m", "--out", "--sets", "--sites", "--pooling", "--json", *LOADING],
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


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_loading_is_a_field_of_the_configuration_with_its_default(name: str) -> None:
    given = {p.name: p.default for p in get_group(app).commands[name].params if p.name in LoadingConfig.model_fields}
    fields = {key: field.default for key, field in LoadingConfig.model_fields.items()}
    assert given == fields


@pytest.mark.parametrize("name", OPTIONS)
def test_help_has_a_section_of_loading_and_fits_eighty_columns(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "80"})
    main, loading = done.stdout.split(f"{LOADING_SECTION}:")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert all(f"  {option} " in loading for option in LOADING)
    assert "--json" in main
    assert "--dtype" not in main


def test_options_of_the_command_line_are_the_options_of_the_models() -> None:
    """Every field of the models' Options is set by one of the configuration, and to what was typed."""
    typed = {
        "dtype": "bfloat16", "quantize": "4bit", "device": "cuda:1", "attn": "eager", "chat": True, "prefix": "query: ",
        "truncate": "left", "revision": "v1", "cache_dir": Path("somewhere"),
    }  # fmt: skip
    made = LoadingConfig(**typed).options
    assert made == Options(
        "bfloat16", "4bit", True, "query: ", "left", "cuda:1", "", "eager", "v1", "somewhere"
    )  # fmt: skip
    assert LoadingConfig(device_map="auto").options == Options(device_map="auto")
    assert LoadingConfig().options == Options()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dtype", "float8"), ("--dtype", "'bfloat16'", "float8")),
        (("--quantize", "3bit"), ("--quantize", "'8bit'")),
        (("--device", "cud"), ("no device is called 'cud'", "Did you mean 'cuda'?", "cuda:1")),
        (("--device-map", "balanced"), ("--device-map", "'auto'")),
        (("--device-map", "auto", "--device", "cpu"), ("leave one of the two out",)),
        (("--attn", "org/kernel"), ("--attn", "flash_attention_2")),
        (("--truncate", "middle"), ("--truncate", "'left'")),
        (("--cache-dir", __file__), ("is a file", "--cache-dir")),
    ],
)
@pytest.mark.parametrize("command", [("run", "soul"), ("doctor",)])
def test_a_value_out_of_range_is_met_with_the_range(command, arguments, words) -> None:
    assert_a_message_a_hint_and_a_code([*command, *arguments], 2, words)


def test_offline_is_in_the_environment_before_anything_of_the_hub_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {**os.environ, "HF_HUB_OFFLINE": "0"})
    seen = {}

    @with_loading
    def command(*, loading: Loading) -> None:
        seen.update(os.environ)

    defaults = {name: default for name, (_, default) in LOADING_OPTIONS.items()}
    command(**defaults)
    assert seen["HF_HUB_OFFLINE"] == "0"
    command(**defaults | {"offline": True})
    assert (seen["HF_HUB_OFFLINE"], seen["TRANSFORMERS_OFFLINE"]) == ("1", "1")
