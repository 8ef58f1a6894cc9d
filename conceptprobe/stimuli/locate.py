"""Where concept files are: a path, ./concepts, the installed package, the repository of an editable install."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from conceptprobe.errors import MissingError, did_you_mean

SUFFIX = ".yaml"


def find_concept_file(name_or_path: str | Path, cwd: Path | None = None) -> Path:
    """The file a name or a path means; a bare name is looked up in the folders, in the order of `concept_folders`.

    Raises MissingError, with the nearest known name, where there is none.
    """
    path = (cwd or Path()) / name_or_path
    bare = len(Path(name_or_path).parts) == 1
    # a folder that happens to have the concept's name (results/soul) does not hide it
    if _exists(path) and not (bare and path.is_dir()):
        return path
    if bare:
        for folder in concept_folders(cwd):
            for candidate in (folder / name_or_path, folder / f"{name_or_path}{SUFFIX}"):
                if candidate.suffix == SUFFIX and _exists(candidate) and not candidate.is_dir():
                    return candidate
    if _exists(path):
        return path
    known = known_concepts(cwd)
    near = did_you_mean(path.stem, known)
    raise MissingError(
        f"no concept file '{name_or_path}'.{near}",
        hint=f"give the path of a YAML file, or one of: {', '.join(known) or 'none is installed'}",
    )


def known_concepts(cwd: Path | None = None) -> dict[str, Path]:
    """Names that need no path, in alphabetical order, and the file each means. Background pools are among them."""
    known: dict[str, Path] = {}
    for folder in concept_folders(cwd):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            known.setdefault(path.stem, path)
    return dict(sorted(known.items()))


def concept_folders(cwd: Path | None = None) -> Iterator[Path]:
    """Folders a bare name is looked up in: ./concepts, the packaged data, the root of an editable install."""
    packaged = Path(str(resources.files("conceptprobe"))) / "_concepts"
    for folder in ((cwd or Path()) / "concepts", packaged, Path(__file__).parents[2] / "concepts"):
        if folder.is_dir():
            yield folder


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False
