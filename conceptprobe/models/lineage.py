"""What a model was made from, as far as its own files say: the hub id, the base model and the data on its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def card_lineage(folder: Path, config: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """Names of base models, and of data as `data:NAME`, from README.md (`base_model`, `datasets`) and config.json.

    Includes the model's own source, so that a model and one fine-tuned from it are known to be relatives.
    """
    card = _front_matter(folder / "README.md")
    names = [source, config.get("_name_or_path", ""), *_strings(card.get("base_model"))]
    data = [f"data:{name}" for name in _strings(card.get("datasets"))]
    # A path is where somebody's disk kept the base model, not a name two models could share by more than chance.
    kept = [str(n) for n in [*names, *data] if n and not str(n).startswith(("/", ".", "~"))]
    return tuple(dict.fromkeys(kept))


def _front_matter(readme: Path) -> Mapping[str, Any]:
    import yaml

    try:
        text = readme.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    if not text.startswith("---"):
        return {}
    try:
        read = yaml.safe_load(text[3:].partition("\n---")[0])
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, dict) else {}


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
