"""`conceptprobe extract` through real processes: what it writes is what the other instruments read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from cli.conftest import Shell
from conceptprobe.activations import extract
from conceptprobe.models import resolve
from conceptprobe.stimuli import expand, load_concept


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """One of its own: what is extracted here is no run's business."""
    return Shell(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def written(shell: Shell, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extracted")
    sites = "resid_post.1,blocks.2.hook_resid_pre,final"
    asked = ("--sets", "terms,same_words", "--sites", sites, "--pooling", "concept_span,mean", "--out", str(out))
    done = shell("extract", "soul", "--model", str(tiny), *asked, "--json")
    assert done.returncode == 0, done.stderr
    files = [Path(entry["file"]) for entry in json.loads(done.stdout)]
    assert sorted(f.relative_to(out).as_posix() for f in files) == [
        f"tiny-bert/{name}.{pooling}.safetensors"
        for name in ("same_words", "terms")
        for pooling in ("concept_span", "mean")
    ]
    return out / "tiny-bert"


def test_arrays_are_those_of_extract_and_tables_say_what_each_row_is(written: Path, tiny: Path) -> None:
    terms = expand(load_concept("soul"))["terms"]
    expected = extract(resolve(str(tiny)), terms, ("resid_post.1", "final"), ("concept_span",))["concept_span"]
    arrays = load_file(written / "terms.concept_span.safetensors")
    assert arrays.keys() == {"resid_post.1", "final"}  # a hook point and a site may name the same place
    for site, rows in arrays.items():
        assert np.allclose(rows, expected[site], atol=1e-5)
    with (written / "terms.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [(row["id"], row["content"], int(row["label"])) for row in table] == [
        (s.id, s.content, s.label) for s in terms
    ]
    with safe_open(written / "terms.mean.safetensors", framework="np") as file:
        about = json.loads(file.metadata()["about"])
    assert about["pooling"] == "mean"
    assert about["info"]["sha256"] == resolve(str(tiny)).info.sha256


def test_what_it_writes_can_be_probed(written: Path, shell: Shell) -> None:
    columns = ("--group", "unit", "--group", "template", "--pair", "pair", "--item", "term")
    done = shell(
        "probe",
        str(written / "terms.concept_span.safetensors"),
        *("--labels", str(written / "terms.csv"), *columns, "--permutations", "20", "--json"),
    )
    assert done.returncode == 0, done.stderr


def test_texts_of_ones_own(shell: Shell, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Her soul was quiet.\n\n  The hammer was small.  \n", "utf-8")
    done = shell("extract", str(tmp_path / "mine.txt"), "-m", str(tiny), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert {len(rows) for rows in load_file(tmp_path / "out/tiny-bert/mine.mean.safetensors").values()} == {2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("soul", "--sets", "term"), "no set named 'term'. Did you mean 'terms'?"),
        (("soul", "--sets", "pictures"), "reads text, which is not what 'pictures' holds"),
        (("soul", "--sites", "resid_post.9"), "has no site 'resid_post.9'"),
        (("soul", "--pooling", "median"), "median"),
        (("nothing.txt",), "nothing.txt cannot be read: No such file or directory"),
    ],
)
def test_mistakes_are_said_in_one_line(
    arguments: tuple[str, ...], said: str, shell: Shell, tiny: Path, tmp_path: Path
) -> None:
    done = shell("extract", *arguments, "-m", str(tiny), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.safetensors"))
