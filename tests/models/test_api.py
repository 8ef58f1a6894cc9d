"""Models behind an endpoint: what is sent, what is believed, what is waited for, and who ever sees the key."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.activations import Store, extract, missing_cells
from conceptprobe.errors import ConceptprobeError, CorruptError, MissingError, UsageError
from conceptprobe.models import api_client, resolve
from conceptprobe.models.api_client import KEYS, LONGEST_PAUSE_S, TRIES, ApiModel, Endpoint
from conceptprobe.models.base import POOLINGS
from conceptprobe.models.options import DEFAULT, Options
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from models.embeddings_server import KEY, WIDTH, Served, answer, serving, vector
from models.tiny_models import WORDS, collect, stimuli


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as here:
        yield here


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited for."""
    waited: list[float] = []
    monkeypatch.setattr(Endpoint.__init__, "__kwdefaults__", {"pause": waited.append})
    return waited


def model_at(here: Served, options: Options = DEFAULT) -> ApiModel:
    model = resolve(f"api:{here.url}#test-model", options=options).load()
    assert isinstance(model, ApiModel)
    return model


def asked(here: Served, texts: list[str]) -> np.ndarray:
    with Endpoint(here.url, "test-model") as endpoint:
        return endpoint.embed(texts)


def reply(body: Any, status: int = 200, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda number, question: (status, headers, content)


def first(status: int, times: int, **headers: str) -> Any:
    """That status so many times, then sound answers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda number, question: (status, named, b"{}") if number <= times else None


def test_rows_are_the_vectors_of_the_texts_in_their_order(served: Served) -> None:
    items = stimuli(150)
    items[7] = Stimulus("again", "soul", "essence", "positive", "text", items[3].content, span=items[3].span)
    rows = collect(model_at(served), items, ["pooled"], POOLINGS)
    expected = np.array([vector(s.content) for s in items], dtype=np.float32)
    for pooling in POOLINGS:
        assert np.array_equal(rows["pooled", pooling], expected)
    assert [len(body["input"]) for body in served.asked] == [64, 64, len(set(s.content for s in items)) - 128]
    assert len(served.texts) == len(set(served.texts))  # no text is paid for twice
    assert served.asked[0].keys() == {"model", "input", "encoding_format"}
    assert served.asked[0]["model"] == "test-model"
    assert set(served.paths) == {"/v1/embeddings"}


@given(st.integers(1, 12), st.integers(0, 10**6))
def test_the_order_comes_from_the_index(n: int, seed: int) -> None:
    texts = WORDS[:n]
    whole = answer(texts)
    assert len({tuple(entry["embedding"]) for entry in whole["data"]}) == n
    random.Random(seed).shuffle(whole["data"])
    rows = Endpoint("https://nowhere.invalid/v1", "m")._rows(json.dumps(whole).encode(), n)
    assert np.array_equal(rows, np.array([vector(t) for t in texts], dtype=np.float32))


def test_a_prefix_is_sent_and_makes_another_model(served: Served) -> None:
    items = stimuli(3)
    rows = collect(model_at(served, Options(prefix="query: ")), items, ["pooled"], ["mean"])["pooled", "mean"]
    assert served.texts == [f"query: {s.content}" for s in items]
    assert rows.shape == (3, WIDTH)
    name = f"api:{served.url}#m"
    assert resolve(name, options=Options(prefix="query: ")).info.sha256 != resolve(name).info.sha256
    assert resolve(name, options=Options(dtype="bfloat16", device="cuda", chat=True)).info == resolve(name).info


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_can_be_waited_for_is_waited_for(served: Served, pauses: list[float], status: int) -> None:
    served.script = first(status, 3)
    assert np.array_equal(asked(served, ["soul"])[0], np.float32(vector("soul")))
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_that_says_how_long_is_believed(served: Served, pauses: list[float]) -> None:
    served.script = first(429, 1, Retry_After="7.5")
    asked(served, ["soul"])
    assert pauses == [7.5]
    pauses.clear()
    served.asked.clear()
    served.script = first(503, 1, Retry_After=formatdate(time.time() + 30, usegmt=True))
    asked(served, ["soul"])
    assert 25 < pauses[0] <= 30


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "inf", "Mon, 99 Foo", ""])
def test_a_pause_that_means_nothing_is_no_pause_of_its_own(served: Served, pauses: list[float], value: str) -> None:
    served.script = first(429, 1, Retry_After=value)
    asked(served, ["soul"])
    assert pauses == [0.5]


def test_nobody_waits_for_ever(served: Served, pauses: list[float]) -> None:
    served.script = first(429, 10**6)
    with pytest.raises(MissingError, match=rf"status 429.*tried {TRIES} times"):
        asked(served, ["soul"])
    assert len(served.asked) == TRIES
    assert sum(pauses) < 60
    served.script = first(429, 10**6, Retry_After=str(LONGEST_PAUSE_S * 10))
    with pytest.raises(MissingError, match="left alone for 600 seconds"):
        asked(served, ["soul"])
    assert len(served.asked) == TRIES + 1


def test_a_server_that_is_slow_is_tried_again_and_given_up(
    served: Served, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_client, "SILENCE_S", 0.05)
    served.script = lambda number, question: time.sleep(0.3) if number < 3 else None
    assert asked(served, ["soul"]).shape == (1, WIDTH)
    assert len(pauses) == 2
    served.script = lambda number, question: time.sleep(0.3)
    with pytest.raises(MissingError, match="does not answer"):
        asked(served, ["soul"])


def test_a_server_that_is_not_there_is_said_at_once(pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(MissingError, match="cannot be reached"),
        Endpoint(f"http://127.0.0.1:{port}/v1", "m") as endpoint,
    ):
        endpoint.embed(["soul"])
    assert pauses == []


def embeddings(*rows: Any) -> dict[str, Any]:
    return {"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "no list of embeddings in JSON"),
        (b"\xff\xfe", "no list of embeddings in JSON"),
        (b"[" * 100_000, "no list of embeddings in JSON"),
        ([], "no list of embeddings in JSON"),
        ({"data": None}, "no list of embeddings in JSON"),
        ({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, "no list of embeddings in JSON"),
        (embeddings([1.0]), "1 vectors for 2 texts"),
        (embeddings([1.0], [2.0], [3.0]), "3 vectors for 2 texts"),
        ({"data": [{"index": 0, "embedding": [1.0]}] * 2}, "not one for each"),
        (embeddings([1.0], [1.0, 2.0]), "different widths"),
        (embeddings([1.0], ["a"]), "no numbers"),
        (embeddings([1.0], [None]), "not finite|no numbers"),
        (embeddings([], []), "no lists of numbers"),
        (embeddings(1.0, 2.0), "no lists of numbers"),
        (embeddings("QUJD", "QUJD"), "no numbers"),
        (embeddings([1.0], [float("nan")]), "not finite"),
        (embeddings([1.0], [1e300]), "not finite"),
    ],
)
def test_what_is_no_answer_is_one_line(served: Served, body: Any, said: str) -> None:
    served.script = reply(body)
    with pytest.raises(CorruptError, match=said) as raised:
        asked(served, ["soul", "hammer"])
    assert "\n" not in raised.value.message
    assert "test-model" in raised.value.message


def test_widths_that_change_between_batches_are_refused(served: Served) -> None:
    served.script = lambda number, question: None if number == 1 else (200, {}, json.dumps(embeddings([1.0])).encode())
    with Endpoint(served.url, "m") as endpoint:
        endpoint.embed(["soul"])
        with pytest.raises(CorruptError, match=f"1 numbers after vectors of {WIDTH}"):
            endpoint.embed(["soul"])


def test_an_answer_without_an_end_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "MOST_BYTES", 1000)
    served.script = reply(b" " * 5000)
    with pytest.raises(CorruptError, match="without an end"):
        asked(served, ["soul"])


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, UsageError, "refuses these texts"),
        (413, UsageError, "refuses these texts"),
        (401, MissingError, "asks for a key"),
        (403, MissingError, "asks for a key"),
        (404, MissingError, "is not there"),
        (302, MissingError, "points elsewhere"),
        (418, UsageError, "status 418"),
        (501, MissingError, "as such servers do"),
    ],
)
def test_every_refusal_is_one_line_and_is_not_repeated(
    served: Served, pauses: list[float], status: int, error: type, said: str
) -> None:
    served.script = reply({"error": {"message": "too\nlong\x1b[31m"}}, status, Location="https://elsewhere.invalid/")
    with pytest.raises(error, match=said) as raised:
        asked(served, ["soul"])
    assert raised.value.message.isprintable()
    assert raised.value.hint
    assert len(served.asked) == 1
    assert pauses == []


@pytest.mark.parametrize("name", KEYS)
def test_the_key_is_sent_there_and_stands_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setenv(name, f" {KEY}\n")
    caplog.set_level("DEBUG")
    with serving(key=KEY) as here:
        spec = resolve(f"api:{here.url}#m")
        items = StimulusSet("some", tuple(stimuli(3)))
        found = extract(spec, items, ["pooled"], ["mean"], store=Store(tmp_path))
        assert set(here.keys) == {f"Bearer {KEY}"}
        here.script = lambda number, body: (400, {}, json.dumps({"error": {"message": f"no {KEY}"}}).encode())
        with pytest.raises(ConceptprobeError) as raised:
            extract(spec, StimulusSet("other", tuple(stimuli(4))), ["pooled"], ["mean"], store=Store(tmp_path))
        here.key = "another"
        with pytest.raises(MissingError, match="does not accept the key") as refused:
            extract(spec, StimulusSet("other", tuple(stimuli(4))), ["pooled"], ["mean"], store=Store(tmp_path))
    model = spec.load()
    seen = [*raised.value.args, *refused.value.args, refused.value.hint, repr(model), repr(spec), caplog.text]
    seen += [str(found["mean"].provenance), *(str(vars(model)) for _ in [0])]
    seen += [file.read_text("utf-8", errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(KEY in text for text in seen)


def test_the_first_of_two_keys_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS[0], KEY)
    monkeypatch.setenv(KEYS[1], "of another service")
    with serving(key=KEY) as here:
        assert collect(model_at(here), stimuli(2), ["pooled"], ["mean"])


def test_without_a_key_the_variables_are_named() -> None:
    with serving(key=KEY) as here, pytest.raises(MissingError, match="asks for a key") as raised:
        asked(here, ["soul"])
    assert here.keys == [""]
    assert all(name in raised.value.hint for name in KEYS)


def test_a_key_that_no_header_can_hold_is_said(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    monkeypatch.setenv(KEYS[0], "a\nb\u00e9")
    with pytest.raises(UsageError, match="no header") as raised:
        model_at(served)
    assert "\u00e9" not in raised.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("api:", "names no served model"),
        ("api:https://api.example.com/v1", "names no served model"),
        ("api:https://#m", "names no served model"),
        ("api:ftp://example.com#m", "names no served model"),
        ("api:http://api.example.com/v1#m", "in the clear"),
        ("api:http://localhost.example.com/v1#m", "in the clear"),
        ("api:https://me:secret@example.com/v1#m", "more than an address"),
        ("api:https://example.com/v1?key=secret#m", "more than an address"),
        ("api:https://[::1#m", "cannot be read"),
        ("api:https://example.com:port/v1#m", "cannot be read"),
    ],
)
def test_a_name_that_leads_nowhere_or_too_far_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        resolve(name)
    assert "secret" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:8/v1", "https://a.example/v1/"]
)
def test_a_served_model_is_known_by_where_it_is_and_what_it_is_called(url: str) -> None:
    spec = resolve(f"api:{url}#org/model")
    assert spec.sites == ("pooled",)
    assert spec.poolings == POOLINGS
    assert spec.info.kind == "trained"
    assert spec.info.n_params == spec.info.d_model == 0
    assert "org/model" in spec.info.lineage  # it is a relative of the model of that name on the hub
    assert resolve(f"api:{url.rstrip('/')}#org/model").info.sha256 == spec.info.sha256
    assert resolve(f"api:{url}#org/other").info.sha256 != spec.info.sha256


def test_a_served_model_has_no_twin() -> None:
    with pytest.raises(UsageError, match="has no random twin"):
        resolve("random:api:https://a.example/v1#m")


def test_what_is_cached_is_never_asked_for_again(served: Served, tmp_path: Path) -> None:
    spec, items, store = resolve(f"api:{served.url}#m"), StimulusSet("some", tuple(stimuli(5))), Store(tmp_path)
    assert missing_cells(spec, items, ["pooled"], ["mean", "concept_span"], store=store)
    assert served.asked == []
    made = extract(spec, items, ["pooled"], ["mean"], store=store)["mean"]["pooled"]
    again = extract(resolve(spec.info.name), items, ["pooled"], POOLINGS, store=store)
    assert len(served.asked) == 1
    assert all(np.array_equal(again[p]["pooled"], made) for p in POOLINGS)
    with pytest.raises(UsageError, match="no site 'embed'"):
        extract(spec, items, ["embed"], ["mean"], store=store)


def test_naming_a_served_model_imports_nothing_heavy() -> None:
    code = (
        "import sys; from conceptprobe.models import resolve; resolve('api:https://a.example/v1#m');"
        "print([m for m in ('httpx', 'torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
