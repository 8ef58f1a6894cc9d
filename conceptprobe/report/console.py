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
from conceptprobe.report.rows import Places, facts, model_name, order, print_rows
from conceptprobe.report.style import VERDICTS

LEGEND = (
    "effect = estimate - reference",
    "[ ] 95% interval of the effect",
    "null 95%: the level the null stays below 95% of the time",
    "p from the exchange, q after Benjamini-Hochberg",
    "units: independent units per class",
)
"""What the columns mean; printed once, under the card."""


@dataclass(frozen=True)
class RunSummary:
    """What the head of the card says about a run."""

    run_id: str
    definition: str = ""
    """Its first sentence is shown."""
    models: tuple[tuple[str, str], ...] = ()
    """(name, kind) with kind `trained`, `static` or `twin`."""
    stimuli: Mapping[str, int] = field(default_factory=dict)
    """Stimulus set -> number of stimuli, in the order to be shown."""
    folder: str = ""
    """Where the files are; empty where none were written."""


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
    for label, parts in (("models", _models(run.models)), ("stimuli", _stimuli(run.stimuli))):
        if parts:
            first, *others = page.flow(parts, width, indent=9, hang=9)
            lines += [Text().append(f"{label:<9}", style="dim").append_text(first[9:]), *others]
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
    lines = [head]
    places = Places.of(line.rows)
    names = [page.clean(model_name(row)) for row in line.rows]
    found, basis = zip(*(facts(row, places) for row in line.rows), strict=True)
    labels: list[list[Text | str]] = [[Text(f"{name:<{max(map(len, names))}}")] for name in names]
    for row, label in zip(line.rows, labels, strict=True):
        label += [page.verdict(row.verdict)] if len(line.rows) > 1 else []
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


def _models(models: Sequence[tuple[str, str]]) -> list[str]:
    """`minilm`, `words:tfidf (static)`, `random:minilm #0 #1 #2 (twins)`: the seeds of a twin share one entry."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for name, kind in models:
        base, _, seed = name.partition("#") if kind == "twin" else (name, "", "")
        seeds.setdefault((base, kind), []).append(seed)
    texts = []
    for (base, kind), numbers in seeds.items():
        name = " ".join([base, *(f"#{seed}" for seed in numbers if seed)])
        texts.append(name if kind == "trained" else f"{name} ({kind}{'s' if len(numbers) > 1 else ''})")
    return texts


def _first_sentence(text: str) -> str:
    """Up to the first full stop that is followed by a capital; a card has no room for a whole definition."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0]


def _stimuli(stimuli: Mapping[str, int]) -> list[str]:
    return [f"{count(n)} {name.replace('_', ' ')}" for name, n in stimuli.items()]


def _section(page: Page, number: int, question: str, line: CardLine | None, rows: Sequence[Finding]) -> None:
    verdict: CardVerdict = line.verdict if line else overall([row for row in rows if counts(row)])
    title = page.text(f"{number}  {line.text if line else question}", "bold")
    page.heading(title, page.verdict(verdict))
    headline = [row for row in rows if row.headline]
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
