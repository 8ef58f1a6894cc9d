"""What a tokenizer is shown of a stimulus: its text, behind a prefix, or as the user's turn of a chat.

Whatever is put around a text is the same for every stimulus, whichever class it is of, and where the text stands in the
whole is known: so that its own tokens can be told from all others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.options import Options
from conceptprobe.stimuli.stimulus import Stimulus


@dataclass(frozen=True)
class Framed:
    """A text as the tokenizer sees it; the stimulus stands at characters `start` to `end`."""

    text: str
    start: int
    end: int


def frame(tokenizer: Any, stimulus: Stimulus, options: Options) -> Framed:
    """The stimulus behind the prefix and, where a chat is asked for, as one turn of it.

    Raises UsageError where the tokenizer has no chat template, or where the template changes this text; CorruptError for a
    template that cannot be rendered.
    """
    turn = options.prefix + stimulus.content
    before, after = _around(tokenizer) if options.chat else ("", "")
    if options.chat and _rendered(tokenizer, turn) != before + turn + after:
        raise UsageError(
            f"stimulus '{stimulus.id}': the chat template changes its text, so where it stands cannot be told",
            hint="templates strip blanks at the ends, and some read marks of their own: correct the text, or leave out --chat",
        )
    start = len(before) + len(options.prefix)
    return Framed(before + turn + after, start, start + len(stimulus.content))


_HERE = "\ue00cconceptprobe\ue00d"
"""Stands for a text while a template is taken apart: private characters, which neither texts nor templates hold."""


def _around(tokenizer: Any) -> tuple[str, str]:
    """What the template writes before and behind the user's text."""
    before, found, after = _rendered(tokenizer, _HERE).partition(_HERE)
    if not found or _HERE in after:
        raise UsageError(
            f"the chat template shows the user's text {'more than once' if found else 'changed, or not at all'}",
            hint="leave out --chat: where the text stands in such a template cannot be told",
        )
    return before, after


def _rendered(tokenizer: Any, text: str) -> str:
    template = _template(tokenizer)
    turn = [{"role": "user", "content": text}]
    try:
        # transformers renders templates, which strangers wrote, in Jinja's sandbox.
        whole: str = tokenizer.apply_chat_template(
            turn, chat_template=template, date_string=_DAY.strftime(_LLAMA), tokenize=False
        )
    except Exception as error:  # a template can provoke anything, and refuses by raising
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CorruptError(
            f"the chat template cannot be rendered with a single turn of the user ({why})",
            hint="leave out --chat, or correct the template",
        ) from error
    return whole


def _template(tokenizer: Any) -> str:
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError as error:
        raise UsageError(
            "this model's tokenizer has no chat template",
            hint="leave out --chat, or name the model that was tuned for chats (`-Instruct`, `-it`, `-chat`)",
        ) from error
    return _dated(template)


_DAY = date(2024, 7, 26)
"""The date that templates write into system prompts. Today's would change the numbers from day to day."""
_LLAMA = "%d %b %Y"
_TODAY = re.compile(r"""strftime_now\(\s*(['"])(?P<form>[^'"]*)\1\s*\)""")


@lru_cache(maxsize=8)
def _dated(template: str) -> str:
    return _TODAY.sub(lambda match: repr(_DAY.strftime(match["form"])), template)
