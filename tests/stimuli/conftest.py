"""A complete, valid concept file and pool of invented words, for tests to spoil in one place at a time.

The words are in no dictionary, so all have the same (zero) frequency and no two sentences share one by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

NAME = "zoqa"
FOREIGN_NAME = "zöqa"


def invented() -> Iterator[str]:
    """Different invented words of eight letters, none the beginning of another, none with a plural ending."""
    syllables = [c + v for c in "bdfgklmnprtv" for v in "aeiou"]
    for i in range(len(syllables) ** 3):
        a, b, c = i % 60, i // 60 % 60, i // 3600
        yield f"x{syllables[a]}q{syllables[b]}{syllables[c]}"


def concept_document() -> dict[str, Any]:
    """A fresh document that keeps every rule, at the smallest numbers allowed."""
    word = invented()
    document: dict[str, Any] = {
        "schema": 1,
        "id": NAME,
        "version": "1.0.0",
        "name": NAME,
        "lang": "en",
        "definition": "An invented concept. It stands for nothing.",
        "citations": [{"key": "nobody-1900", "text": "Nobody. Nothing, 1900."}],
        "licence": "CC-BY-4.0",
        "senses": [
            {"id": "essence", "role": "target", "gloss": "the invented thing"},
            {"id": "music", "role": "homonym", "gloss": "an invented music"},
        ],
        "smallest_effect": {"encoded": 0.1, "beyond_words": 0.05, "shared": 0.05},
        "controls": {"near": "invented", "far": "invented"},
        "splits": {"term_folds": 5, "template_folds": 3},
    }
    frames = {
        "early": "The {{term}} {} with {} and {} of {}.",
        "middle": "Their {} {} the {{term}} {} with {}.",
        "late": "Their {} and {} were {} by {} of the {{term}}.",
    }
    document["templates"] = [
        {"id": f"t{i}{position}", "position": position, "text": frame.format(*(next(word) for _ in range(4)))}
        for i in range(4)
        for position, frame in frames.items()
    ]
    document["terms"] = [
        {"id": f"u{i:02}", "positive": next(word), "near": next(word), "far": next(word), "sense": "essence"}
        for i in range(20)
    ]
    sentences, paraphrases, homonyms = [], [], []
    for i in range(60):
        group, text = f"g{i % 20:02}", f"A {next(word)} of {NAME} {next(word)} the {next(word)}."
        sentences.append(_entry(f"s{i:03}", "positive", group, text, sense="essence", span=NAME))
        other = next(word)
        text = f"A {next(word)} of {other} {next(word)} the {next(word)}."
        sentences.append(_entry(f"c{i:03}", "control", group, text, span=other))
    for i in range(40):
        group, text = f"pg{i % 20:02}", f"A {next(word)} of {next(word)} {next(word)} the {next(word)}."
        paraphrases.append(_entry(f"p{i:03}", "positive", group, text, sense="essence"))
        text = f"A {next(word)} of {next(word)} {next(word)} the {next(word)}."
        paraphrases.append(_entry(f"q{i:03}", "control", group, text))
        for label, sense in (("target", "essence"), ("other", "music")):
            text = f"A {next(word)} of {NAME} {next(word)} the {next(word)}."
            homonyms.append(_entry(f"h{i:02}{label}", label, f"hg{i:02}{label}", text, sense=sense, span=NAME))
    pairs = []
    for i in range(30):
        a, b, c = next(word), next(word), next(word)
        pairs.append(
            {
                "id": f"w{i:02}",
                "span": NAME,
                "target_sense": "essence",
                "other_sense": "music",
                "target": f"The {a} {b} {NAME} with the {c}.",
                "other": f"The {c} {b} {NAME} with the {a}.",
            }
        )
    translations = []
    for original in sentences[:80]:
        span = FOREIGN_NAME if original["label"] == "positive" else next(word)
        text = f"Ein {next(word)} von {span} {next(word)} die {next(word)}."
        own = {"id": f"de-{original['id']}", "of": original["id"], "lang": "de"}
        translations.append(own | {"span": span, "text": text})
    document |= {"sentences": sentences, "translations": translations, "paraphrases": paraphrases}
    document |= {"same_words": pairs, "homonyms": homonyms}
    document["media"] = []
    return document


def _entry(id_: str, label: str, group: str, text: str, **more: str) -> dict[str, str]:
    return {"id": id_, "label": label, "group": group, **more, "text": text}


def pool_document() -> dict[str, Any]:
    """A fresh pool that keeps every rule."""
    word = invented()
    template_words = [next(word) for _ in range(20_000)][19_000:]  # far from the words of the concept
    return {
        "schema": 1,
        "kind": "background",
        "id": "background",
        "version": "1.0.0",
        "lang": "en",
        "definition": "A pool of invented words.",
        "concreteness_scale": "1 to 5.",
        "citations": [{"key": "nobody-1900", "text": "Nobody. Nothing, 1900."}],
        "licence": "CC-BY-4.0",
        "templates": [
            {"id": f"bt{i}", "position": "early", "text": f"The {{word}} {template_words[i]} of it all."}
            for i in range(6)
        ],
        "categories": [
            {
                "id": f"cat{c:02}",
                "about": "invented",
                "words": [
                    {"word": template_words[100 + 25 * c + i], "zipf": 0.0, "concreteness": 1 + i % 5}
                    for i in range(25)
                ],
            }
            for c in range(16)
        ],
    }


def dump(document: dict[str, Any], **style: Any) -> str:
    """YAML in the order of the document, one line for each value."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(document, Dumper=dumper, sort_keys=False, width=10_000, allow_unicode=True, **style)


@pytest.fixture
def document() -> dict[str, Any]:
    """A valid concept document of the test's own."""
    return concept_document()


@pytest.fixture
def pool() -> dict[str, Any]:
    """A valid pool document of the test's own."""
    return pool_document()


@pytest.fixture(scope="session")
def as_yaml() -> Callable[..., str]:
    """Document -> YAML text; keyword arguments go to yaml.safe_dump."""
    return dump


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any] | str | bytes], Path]:
    """Document, text or bytes -> a file in a folder of its own."""

    def write_file(content: dict[str, Any] | str | bytes, name: str = f"{NAME}.yaml") -> Path:
        path = tmp_path / name
        text = dump(content) if isinstance(content, dict) else content
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


@pytest.fixture(scope="session")
def small_document() -> dict[str, Any]:
    """A few entries of each section: too few to be valid, quick to check; not to be changed."""
    document = concept_document()
    return {k: v[:3] if isinstance(v, list) else v for k, v in document.items()}
