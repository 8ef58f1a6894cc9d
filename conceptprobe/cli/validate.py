"""`conceptprobe validate`: every problem of every file at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

NAME = "validate"


def command(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Concept files, background pools, or bare names.")
    ],
    json_: o.Json = False,
) -> None:
    """Check concept files: all errors as file:line:column: CODE message, and how hard their sentences are."""
    # Hundreds of tiny products: threads would only wait for each other. A library is limited once it is loaded.
    for library in ("numpy", "scipy.linalg"):
        import_module(library)
    from threadpoolctl import threadpool_limits

    from conceptprobe.stimuli import check_files

    with threadpool_limits(1):
        report = check_files(files, word_vectors=_word_vectors(), count_tokens=_count_tokens())
    if json_:
        print_json(report.to_dict())
    else:
        for problem in report.problems:
            typer.echo(str(problem))
        for file in report.files:
            if file.difficulty is not None or any(file.media.values()):
                typer.echo(f"\n{file.file}")
            if file.difficulty is not None:
                typer.echo(str(file.difficulty))
            for many, counts in ((many, counts) for many, counts in file.media.items() if counts):
                listed = (f"{n} {what.replace('_', ' ')}" for what, n in counts.items())
                typer.echo(f"  {many}: {', '.join(listed)}")
        typer.echo(f"{report.summary}.", err=not report.problems)
    if not report.ok:
        raise typer.Exit(2)


def _word_vectors() -> Callable[[Sequence[str]], np.ndarray] | None:
    """Texts -> mean co-occurrence vectors, or None where the vectors are not installed."""
    from conceptprobe.errors import ConceptprobeError

    try:
        from conceptprobe.models.cooccurrence import CooccurrenceVectors

        vectors = CooccurrenceVectors.load()
    except ConceptprobeError:
        return None
    import numpy as np

    from conceptprobe.stimuli.words import words

    return lambda texts: np.array([vectors.mean(words(text)) for text in texts])


def _count_tokens() -> Callable[[str], int] | None:
    """Term -> number of tokens of the default encoder, or None where it is not installed."""
    from conceptprobe.errors import ConceptprobeError
    from conceptprobe.models.folder import TextSpec
    from conceptprobe.models.resolve import resolve

    try:
        spec = resolve("minilm", download=False)
    except ConceptprobeError:
        return None
    if not isinstance(spec, TextSpec):
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(spec.folder / "tokenizer.json"))
    tokenizer.no_padding()  # the file asks for a fixed length
    return lambda term: len(tokenizer.encode(term, add_special_tokens=False).ids)
