"""The report in a terminal: the concept card first, then one section per question that was asked.

On a terminal lines wrap at its width, between numbers and never inside one; anywhere else (a file, a pipe) the report
is plain, one row per line however long. `NO_COLOR` is honoured by rich, and no colour carries meaning alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from conceptprobe.evidence.finding import QUESTIONS, Finding
from conceptprobe.report.card import Card, CardLine, CardVerdict, counts, overall
from conceptprobe.report.numbers import count
from conceptprobe.report.page import Page
from conceptprobe.report.phrases import Places, facts, model_name, size
from conceptprobe.report.rows import order, print_rows
from conceptprobe.report.style import VERDICTS

LEGEND = (
    "effect = estimate - reference",
    "[ ] 95% interval of the effect",
    "null 95%: the level the null stays below 95% of the time",
    "p from the exchange, q after Benjamini-Hochberg",
    "units: independent units per class",
)
"""What the columns mean; printed once, under the card."""


NOTES_UP_TO = 2
"""Rows of a question whose notes stand on the card; with more it would no longer be one screen."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass(frozen=True)
class RunSummary:
    """What the head of the card says about a run."""

    run_id: str
    definition: str = ""
    """Its first sentence is shown."""
    models: tuple[tuple[str, str, str], ...] = ()
    """(name, kind, modality) with kind `trained`, `static` or `twin`; a joint model has one entry per tower."""
    stimuli: Mapping[str, int] = field(default_factory=dict)
    """Stimulus set -> number of stimuli, in the order to be shown."""
    folder: str = ""
    """Where the files are; empty where none were written."""
    plan: tuple[str, ...] = ()
    """What is said of the plan that was frozen beforehand, its hash and date first; empty where there was none."""


def render(console: Console, card: Card, findings: Iterable[Finding], run: RunSummary) -> None:
    """Print the card, then for each question its headline rows, its details and its notes."""
    page, rows = Page(console), list(findings)
    _card(page, card, run)
    page.print(*page.flow([page.text(text, "dim") for text in LEGEND], page.width))
    lines = {line.question: line for line in card.lines}
    # A plugin may ask a question of its own: it has no line on the card, but its rows are shown.
    for number, question in enumerate(dict.fromkeys([*QUESTIONS, *(row.question for row in rows)]), start=1):
        if own := [row for row in rows if row.question == question]:
            _section(page, number, question, lines.get(question), own)
    if run.folder:
        page.print(Text(), *page.flow([f"files in {run.folder}"], page.width))


def _card(page: Page, card: Card, run: RunSummary) -> None:
    width = page.width if page.plain else page.width - 4
    sense = _first_sentence(run.definition)
    lines = [*page.paragraph(sense, width, style="italic"), Text()] if sense else []
    for label, parts in (("models", _models(run.models)), ("stimuli", _stimuli(run.stimuli)), ("plan", run.plan)):
        if parts:
            first, *others = page.flow(parts, width, indent=9, hang=9)
            lines += [Text().append(f"{label:<9}", style="dim").append_text(first[9:]), *others]
    if lines and not run.plan:
        lines.append(Text(f"{'plan':<9}none was frozen beforehand", style="dim"))
    lines += [Text()] if lines else []
    texts = max(len(line.text) for line in card.lines)
    for number, line in enumerate(card.lines, start=1):
        lines += _card_line(page, number, line, texts, width)
    page.panel(lines, card.concept, f"run {run.run_id}")


def _card_line(page: Page, number: int, line: CardLine, texts: int, width: int) -> list[Text]:
    head = Text(f"{number}  ").append(f"{page.clean(line.text):<{texts}}   ", style="bold" if line.asked else "")
    head.append_text(page.verdict(line.verdict))
    if not line.asked:
        reason = page.text(line.reason, "dim")
        if head.cell_len + 2 + reason.cell_len <= width:
            return [head.append("  ").append_text(reason)]
        return [head, *page.paragraph(line.reason, width, first="   ", hang=3, style="dim")]
    if len(line.rows) > NOTES_UP_TO:
        return [head, *_many_rows(page, number, line.rows, width)]
    lines = [head]
    places = Places.of(line.rows)
    labels = _labels(page, line.rows)
    found, basis = zip(*(facts(row, places) for row in line.rows), strict=True)
    whole = [page.flow([*a, *b, *c], width, indent=3, hang=5) for a, b, c in zip(labels, found, basis, strict=True)]
    for i, row in enumerate(line.rows):
        if all(len(one) == 1 for one in whole):
            lines += whole[i]
        else:
            lines += page.flow([*labels[i], *found[i]], width, indent=3, hang=5)
            lines += page.flow(basis[i], width, indent=5, hang=5)
        if row.note:
            lines += page.paragraph(row.note, width, first="     ", hang=5, style="dim")
    return lines


def _many_rows(page: Page, number: int, rows: Sequence[Finding], width: int) -> list[Text]:
    """Rows under one another, below the number of rows and units they share and, where these differ, their verdict:
    words may answer a question that pictures leave open. Under them stands what their notes have in common."""
    places = Places.of(rows)
    labels = dict(zip(map(id, rows), _labels(page, rows), strict=True))
    sizes = list(dict.fromkeys(map(size, rows)))
    lines = []
    for n in sizes:
        own = [row for row in rows if size(row) == n]
        verdict = [page.verdict(overall(own))] if len(sizes) > 1 else []
        lines += page.flow([page.text(n, "italic"), *verdict], width, indent=3, hang=3)
        for row in own:
            found, basis = facts(row, places, brief=True)
            lines += page.flow([*labels[id(row)], *found, *basis], width, indent=3, hang=5)
        said = _in_all([row.note for row in own])
        if n == sizes[-1] and any(row.note for row in rows):
            said.append(f"Notes on each: section {number}.")
        lines += page.paragraph(" ".join(said), width, first="   ", hang=3, style="dim") if said else []
    return lines


def _labels(page: Page, rows: Sequence[Finding]) -> list[list[Text | str]]:
    """The models of each row, padded, and its verdict where there are several."""
    names = [page.clean(model_name(row)) for row in rows]
    verdicts: list[list[Text | str]] = [[page.verdict(row.verdict)] if len(rows) > 1 else [] for row in rows]
    return [[Text(f"{name:<{max(map(len, names))}}"), *said] for name, said in zip(names, verdicts, strict=True)]


def _in_all(notes: Sequence[str]) -> list[str]:
    """The sentences that every note holds."""
    first, *others = [_SENTENCE_END.split(note) for note in notes]
    return [sentence for sentence in first if sentence and all(sentence in other for other in others)]


def _models(models: Sequence[tuple[str, str, str]]) -> list[str]:
    """`minilm`, `pocket-joint (text, image)`, `words:tfidf (static)`, `random:minilm #0 #1 #2 (twins)`.

    The seeds of a twin share one entry, and so do the twins of several models that have the same seeds.
    """
    modalities: dict[tuple[str, str], list[str]] = {}
    seeds: dict[str, dict[str, None]] = {}
    for name, kind, modality in models:
        if kind == "twin":
            base, _, seed = name.partition("#")
            seeds.setdefault(base, {})[seed] = None
        else:
            modalities.setdefault((name, kind), []).append(modality)
    texts = []
    for (name, kind), read in modalities.items():
        marks = [kind] if kind != "trained" else []
        marks += read if read != ["text"] else []
        texts.append(f"{name} ({', '.join(marks)})" if marks else name)
    twins: dict[str, list[str]] = {}
    for base, numbers in seeds.items():
        twins.setdefault(" ".join(f"#{seed}" for seed in numbers if seed), []).append(base)
    for numbers_, bases in twins.items():
        name = bases[0] if len(bases) == 1 else "random:NAME"
        of = f" of {len(bases)} models" if len(bases) > 1 else ""
        plural = "s" if of or " " in numbers_ else ""
        texts.append(f"{f'{name} {numbers_}'.strip()} (twin{plural}{of})")
    return texts


def _first_sentence(text: str) -> str:
    """Up to the first full stop that is followed by a capital; a card has no room for a whole definition."""
    return _SENTENCE_END.split(" ".join(text.split()), maxsplit=1)[0]


def _stimuli(stimuli: Mapping[str, int]) -> list[str]:
    return [f"{count(n)} {name.replace('_', ' ')}" for name, n in stimuli.items()]


def _section(page: Page, number: int, question: str, line: CardLine | None, rows: Sequence[Finding]) -> None:
    verdict: CardVerdict = line.verdict if line else overall([row for row in rows if counts(row)])
    title = page.text(f"{number}  {line.text if line else question}", "bold")
    page.heading(title, page.verdict(verdict))
    headline = [row for row in rows if row.headline]
    headline = order(headline, headline)
    details = order([row for row in rows if not row.headline], headline)
    notes = {n: i for i, n in enumerate(dict.fromkeys(r.note for r in [*headline, *details] if r.note), start=1)}
    for name, group in (("headline", headline), ("details", details)):
        if group:
            page.print(*([Text()] if name == "details" and headline else []), Text(name, style="bold"))
            marks = [f"({notes[row.note]})" if row.note else "" for row in group]
            print_rows(page, group, marks, verdicts=name == "headline")
    page.print(Text())
    for note, mark in notes.items():
        page.print(*page.paragraph(note, page.width, first=f"({mark}) ", hang=4))
    meaning = line.reason if line and not line.asked else VERDICTS[verdict].meaning
    page.print(*page.paragraph(f"{verdict}: {meaning}", page.width, hang=2, style="dim"))
