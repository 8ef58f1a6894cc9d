"""A model's name -> its ModelSpec: light, so that plans, cache keys and warm runs never load a model.

| name | is |
|---|---|
| `minilm`, `words:cooccurrence`, `words:tfidf`, ... | a model of the zoo; `NAME@step-N` one moment of its training |
| `org/name`, `org/name@revision` | a model of the Hugging Face hub |
| a path | a local folder: config.json, safetensors, tokenizer or processor |
| `lens:NAME` | a text model read through TransformerLens |
| `api:URL#model` | a model behind an embeddings endpoint that speaks the OpenAI protocol |
| `random:NAME`, `random:NAME#seed` | the untrained twin of any of them (seed 0 where none is given) |
"""

from __future__ import annotations

import re
from pathlib import Path

from conceptprobe.errors import MissingError, UsageError, did_you_mean
from conceptprobe.models.api import SCHEME, api_spec
from conceptprobe.models.base import ModelSpec
from conceptprobe.models.folder import folder_spec
from conceptprobe.models.hub import snapshot
from conceptprobe.models.lens import PREFIX, lens_spec
from conceptprobe.models.options import DEFAULT, Options, with_options
from conceptprobe.models.zoo import zoo_entries, zoo_finder

HINT = (
    "`conceptprobe list models` shows the zoo; a hub id looks like 'openai-community/gpt2'; a folder needs config.json."
)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")
_SEED = re.compile(r"(?P<name>.+?)(#(?P<seed>\d+))?")


def resolve(name: str, *, download: bool = True, options: Options = DEFAULT) -> ModelSpec:
    """The spec of a model by its name. Imports neither torch nor transformers.

    `options` say how it is loaded and shown its stimuli. With `download=False` a hub model that is not cached is a
    NotCachedError. Raises MissingError (exit code 3) for what is not there, UnsafeModelError for pickled weights,
    CorruptError for files that are not what they should be.
    """
    if name.startswith("random:"):
        return _twin(name.removeprefix("random:"), download, options)
    return with_options(_found(name, download, options), options)


def takes_revision(name: str) -> bool:
    """Whether it is a hub model that names no revision, so that `Options.revision` says which."""
    bare = name.removeprefix("random:").removeprefix(PREFIX).partition("#")[0]
    if "@" in bare or _HUB_ID.fullmatch(bare) is None:
        return False
    return zoo_finder(bare) is None and not Path(bare).expanduser().exists()


def _found(name: str, download: bool, options: Options) -> ModelSpec:
    """The model of that name, under default options but for where the hub is asked for it."""
    if name.startswith(PREFIX):
        return lens_spec(_found(name.removeprefix(PREFIX), download, options))
    if name.startswith(SCHEME):
        return api_spec(name)
    find = zoo_finder(name)
    if find is not None:
        return find(download)
    if name.startswith("words:"):
        raise _unknown(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder_spec(folder, name=name.rstrip("/") or name, source=str(folder.resolve()))
    if folder.is_file():
        raise UsageError(f"'{name}' is a file; a model is a folder", hint=HINT)
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith("/"):
        raise MissingError(f"no model folder '{name}'", hint=HINT)
    if _HUB_ID.fullmatch(name):
        return _from_hub(name, download, options)
    raise _unknown(name)


def _twin(name: str, download: bool, options: Options) -> ModelSpec:
    match = _SEED.fullmatch(name)
    if match is None:
        raise UsageError("'random:' needs the name of a model", hint="as in random:minilm, random:minilm#2")
    return resolve(match["name"], download=download, options=options).twin(int(match["seed"] or 0))


def _from_hub(name: str, download: bool, options: Options) -> ModelSpec:
    repo, _, revision = name.partition("@")
    folder = snapshot(
        repo, revision or options.revision or None, cache_dir=options.cache_dir or None, download=download
    )
    # A snapshot lies in a folder named by its commit: the revision as resolved, not as typed.
    return folder_spec(folder, name=name, source=repo, revision=folder.name)


def _unknown(name: str) -> MissingError:
    known = [entry.name for entry in zoo_entries()]
    return MissingError(f"no model named '{name}'.{did_you_mean(name, known)}", hint=HINT)
