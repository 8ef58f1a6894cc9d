"""Where a name leads: a path, ./concepts, the installed package, the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from conceptprobe.errors import MissingError
from conceptprobe.stimuli import find_concept_file, known_concepts, locate


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package whose data are a folder of ours."""
    monkeypatch.setattr(locate.resources, "files", lambda package: tmp_path / "site" / package)
    folder = tmp_path / "site" / "conceptprobe" / "_concepts"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "concepts").mkdir(parents=True)
    return folder


def test_a_path_comes_first(cwd: Path, packaged: Path) -> None:
    (cwd / "mine.yaml").touch()
    (cwd / "concepts" / "mine.yaml").touch()
    assert find_concept_file("mine.yaml", cwd) == cwd / "mine.yaml"
    assert find_concept_file("concepts/mine.yaml", cwd) == cwd / "concepts" / "mine.yaml"
    assert find_concept_file(cwd / "mine.yaml") == cwd / "mine.yaml"
    assert find_concept_file("mine", cwd) == cwd / "concepts" / "mine.yaml"


def test_a_name_is_looked_up_in_the_working_folder_then_the_package_then_the_repository(
    cwd: Path, packaged: Path
) -> None:
    repository = Path(locate.__file__).parents[2] / "concepts"
    assert find_concept_file("soul", cwd) == repository / "soul.yaml"
    (packaged / "soul.yaml").touch()
    assert find_concept_file("soul", cwd) == packaged / "soul.yaml"
    (cwd / "concepts" / "soul.yaml").touch()
    assert find_concept_file("soul", cwd) == cwd / "concepts" / "soul.yaml"
    assert known_concepts(cwd)["soul"] == cwd / "concepts" / "soul.yaml"


def test_a_folder_of_that_name_does_not_hide_the_concept(cwd: Path, packaged: Path) -> None:
    (cwd / "soul").mkdir()
    (cwd / "concepts" / "soul.yaml").touch()
    assert find_concept_file("soul", cwd) == cwd / "concepts" / "soul.yaml"
    (cwd / "elsewhere").mkdir()
    assert find_concept_file("elsewhere", cwd).is_dir()  # and reading it says that it is a folder


@pytest.mark.parametrize("name", ["sool", "concepts/sool.yaml", "sool.yaml"])
def test_a_missing_name_gets_the_nearest(cwd: Path, packaged: Path, name: str) -> None:
    (packaged / "soul.yaml").touch()
    with pytest.raises(MissingError, match="Did you mean 'soul'") as caught:
        find_concept_file(name, cwd)
    assert caught.value.exit_code == 3
    assert "soul" in caught.value.hint


@pytest.mark.parametrize("name", ["", ".", "a\0b", "x" * 5000, "../../nowhere.yaml"])
def test_odd_names_are_missing_or_folders(cwd: Path, packaged: Path, name: str) -> None:
    try:
        found = find_concept_file(name, cwd)
    except MissingError:
        return
    assert found.is_dir()
