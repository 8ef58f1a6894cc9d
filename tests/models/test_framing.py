"""Prefixes and chat templates: what stands around a text is read by the model, and pooled by nobody."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models import resolve
from conceptprobe.models.framing import frame
from conceptprobe.models.options import DEFAULT, Options
from conceptprobe.models.text import TextModel
from conceptprobe.models.tokens import Limits, encode, pad
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import WORDS, collect, largest_error, save_model, stimuli

KINDS = {"llama": "bos", "gpt2": "bytes", "bert": "encoder"}
TEMPLATE = "{{ bos_token }}the house: {% for m in messages %}[{{ m['content'] }}] letter{{ eos_token }}{% endfor %}"
CHAT = Options(chat=True)
FRAMES = {
    "prefix": (Options(prefix="the letter: "), "the letter: {}"),
    "chat": (CHAT, "<s>the house: [{}] letter</s>"),
    "both": (Options(chat=True, prefix="a: "), "<s>the house: [a: {}] letter</s>"),
}


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny model with each kind of tokenizer, and a chat template."""
    root = tmp_path_factory.mktemp("chat")
    made = {kind: save_model(root / kind, kind, tokenizer=tokenizer) for kind, tokenizer in KINDS.items()}
    for folder in made.values():
        with_template(folder, TEMPLATE)
    return made


def with_template(folder: Path, template: str | None) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer(chatting: dict[str, Path]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(chatting["gpt2"], local_files_only=True)


def loaded(folder: Path, options: Options = DEFAULT) -> TextModel:
    model = resolve(str(folder), options=options).load()
    assert isinstance(model, TextModel)
    return model


def item(text: str, span: tuple[int, int] | None = None) -> Stimulus:
    return Stimulus("x", "c", "s", "control", "text", text, span=span)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("how", sorted(FRAMES))
def test_a_framed_text_is_read_as_if_the_frame_had_been_typed(chatting: dict[str, Path], kind: str, how: str) -> None:
    options, written = FRAMES[how]
    short = [s for s in stimuli(12) if len(s.content) < 30]
    at = written.index("{}")
    typed = [
        Stimulus(
            s.id, s.concept, s.sense, s.role, "text", written.format(s.content), span=(s.span[0] + at, s.span[1] + at)
        )
        for s in short
        if s.span
    ]
    model, plain = loaded(chatting[kind], options), loaded(chatting[kind])
    if kind == "bert" and how != "prefix":
        # An encoder's tokenizer adds marks of its own to a text that is typed; a template has written its own.
        plain.tokenizer = without_added(plain.tokenizer)
    sites = ["resid_post.1", "final"]
    framed = collect(model, short, sites, ["concept_span", "cls"])
    assert largest_error(framed, collect(plain, typed, sites, ["concept_span", "cls"])) < 1e-5
    # What is pooled over the text is pooled over the text alone, and what stands around it was read.
    mean = collect(model, short, sites, ["mean"])
    assert largest_error(mean, collect(plain, typed, sites, ["mean"])) > 1e-3
    assert largest_error(framed, collect(plain, short, sites, ["concept_span", "cls"])) > 1e-3


def without_added(tokenizer: Any) -> Any:
    from tokenizers import processors

    bare = copy.deepcopy(tokenizer)
    bare._tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    return bare


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("how", sorted(FRAMES))
@pytest.mark.parametrize("text", ["soul", "soul was quiet", " soul", "the soul."])
def test_content_is_the_text_and_nothing_else(chatting: dict[str, Path], kind: str, how: str, text: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(chatting[kind], local_files_only=True)
    start = text.index("soul")
    stimulus = item(text, (start, start + 4))
    options, _ = FRAMES[how]
    (coded,) = encode(tokenizer, (stimulus,), Limits(None, 10_000), needs_offsets=True, options=options)
    batch = pad([coded], [stimulus], pad_id=1, side="right")
    for mask, covered in ((batch.content[0], text.strip()), (batch.in_span[0], "soul")):
        chosen = mask & (coded.end > coded.start)
        ranges = list(zip(coded.start[chosen].tolist(), coded.end[chosen].tolist(), strict=True))
        reached = {c for a, b in ranges for c in range(a, b) if text[c] != " "}
        place = range(text.index(covered), text.index(covered) + len(covered))
        assert reached == {c for c in place if text[c] != " "}
    assert coded.ids.tolist().count(tokenizer.bos_token_id) == (0 if kind == "gpt2" and how == "prefix" else 1)


def own(tokenizer: Any, text: str, options: Options) -> list[str]:
    """What each token of the text covers of it."""
    (coded,) = encode(tokenizer, (item(text),), Limits(None, 10_000), needs_offsets=True, options=options)
    return [text[a:b] for a, b in zip(coded.start[~coded.special], coded.end[~coded.special], strict=True)]


def test_a_token_across_the_border_is_the_texts_if_it_holds_more_of_it_than_blanks(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(tokenizer("the soul")["input_ids"]) == ["th", "e", "\u0120soul"]
    assert own(tokenizer, "he", Options(prefix="t")) == ["h", "e"]
    assert own(tokenizer, "soul", Options(prefix="the ")) == ["soul"]
    behind = copy.copy(tokenizer)
    behind.chat_template = "{{ messages[0]['content'] }}soul"
    assert own(behind, "the ", CHAT) == ["th", "e"]


@given(
    st.text(st.sampled_from("aeo \n[]:é中'"), min_size=1, max_size=12).filter(lambda t: t.strip()),
    st.sampled_from(["", "query: ", "é", "a\n"]),
    st.booleans(),
)
@settings(deadline=None)
def test_no_character_of_a_text_is_lost_and_none_is_added(tokenizer: Any, text: str, prefix: str, chat: bool) -> None:
    options = Options(chat=chat, prefix=prefix)
    framed = frame(tokenizer, item(text), options)
    assert framed.text[framed.start : framed.end] == text
    (coded,) = encode(tokenizer, (item(text),), Limits(None, 10_000), needs_offsets=True, options=options)
    covered = np.zeros(len(text), bool)
    for a, b in zip(coded.start[~coded.special], coded.end[~coded.special], strict=True):
        covered[a:b] = True
    assert covered[[not c.isspace() for c in text]].all()
    around = len(text.strip()) and tokenizer(framed.text, add_special_tokens=False)["input_ids"]
    assert coded.ids.tolist() == around  # what is read is the whole frame, once


@pytest.mark.parametrize(
    ("template", "error", "said"),
    [
        ("[{{ messages[0]['content'] | trim }}]", UsageError, "stimulus 'x': the chat template changes its text"),
        ("[{{ messages[0]['content'] | upper }}]", UsageError, "changed, or not at all"),
        ("[no text]", UsageError, "changed, or not at all"),
        ("{{ messages[0]['content'] }} {{ messages[0]['content'] }}", UsageError, "more than once"),
        ("{{ raise_exception('no user here') }}", CorruptError, r"single turn of the user \(no user here\)"),
        ("{{ messages[0]['content'] ", CorruptError, "cannot be rendered"),
        ("{{ messages.__class__.__mro__ }}", CorruptError, "cannot be rendered"),
        ("{% for i in range(10**9) %}{% endfor %}", CorruptError, "cannot be rendered"),
        (None, UsageError, "has no chat template"),
    ],
)
def test_a_template_that_cannot_be_followed_is_one_line(
    chatting: dict[str, Path], tmp_path: Path, template: str | None, error: type, said: str
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(chatting["gpt2"], local_files_only=True)
    tokenizer.chat_template = template
    with pytest.raises(error, match=said) as raised:
        frame(tokenizer, item(" soul "), CHAT)
    assert "\n" not in raised.value.message
    assert "--chat" in raised.value.hint


@pytest.mark.parametrize(
    "written", ["{{ strftime_now('%Y-%m-%d') }}", '{{ strftime_now("%Y-%m-%d") }}', "{{ date_string }}"]
)
def test_no_template_writes_the_date_of_today(tokenizer: Any, written: str) -> None:
    dated = copy.copy(tokenizer)
    dated.chat_template = written + " {{ messages[0]['content'] }}"
    assert frame(dated, item("soul"), CHAT).text in ("2024-07-26 soul", "26 Jul 2024 soul")


def test_a_system_prompt_of_the_template_stays(tokenizer: Any) -> None:
    advised = copy.copy(tokenizer)
    advised.chat_template = "be brief. {{ messages[0]['content'] }}{% if add_generation_prompt %} reply:{% endif %}"
    assert frame(advised, item("soul"), CHAT).text == "be brief. soul"


def test_a_template_is_part_of_what_a_model_is(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", "gpt2", tokenizer="bytes")
    hashes = []
    for template in (TEMPLATE, TEMPLATE + " "):
        with_template(folder, template)
        hashes.append(resolve(str(folder), options=CHAT).info.sha256)
    assert hashes[0] != hashes[1]


def test_the_words_of_these_tests_are_known() -> None:
    assert {"soul", "letter", "house", "the"} <= set(WORDS)
