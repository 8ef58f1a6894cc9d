"""Asking an embeddings endpoint: batches of texts in, checked vectors out. What can be waited for is waited for, bounded.

The key goes into one header of requests to one URL, and nowhere else: redirects are not followed, and what a server says is
shown without it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.errors import ConceptprobeError, CorruptError, MissingError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.pooling import check_asked

if TYPE_CHECKING:
    import httpx
    from jaxtyping import Float

    from conceptprobe.models.api import ApiSpec
    from conceptprobe.stimuli.stimulus import Stimulus

KEYS = ("CONCEPTPROBE_API_KEY", "OPENAI_API_KEY")
"""Variables of the environment that may hold the key; the first that does."""
BATCH = 64
"""Texts of one request."""
TRIES = 6
LONGEST_PAUSE_S = 60.0
"""Between two tries; a server that asks for a longer one is left alone."""
CONNECT_S, SILENCE_S, ANSWER_S = 10.0, 60.0, 300.0
"""A connection, the next bytes of an answer, and the whole of it may take so long."""
MOST_BYTES = 256 * 2**20
"""Of one answer: 64 vectors are a few megabytes."""
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that another try may change."""


def api_model(spec: ApiSpec) -> ApiModel:
    """The served model, with the key of the environment, if it holds one."""
    key = next((value.strip() for name in KEYS if (value := os.environ.get(name, "")).strip()), "")
    return ApiModel(spec, Endpoint(spec.url, spec.model, key))


class ApiModel:
    """A served model; made by `ApiSpec.load()`."""

    def __init__(self, spec: ApiSpec, endpoint: Endpoint) -> None:
        self.info = spec.info
        self.sites = spec.sites
        self.poolings = spec.poolings
        self._prefix = spec.options.prefix
        self._endpoint = endpoint

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], dict[tuple[str, Pooling], Float[np.ndarray, "b d"]]]]:
        """Batches of (row numbers, {(`pooled`, pooling): float32 rows}); a text that occurs twice is sent once.

        Raises what `Endpoint.embed` raises.
        """
        check_asked(self, stimuli, poolings)
        where: dict[str, list[int]] = {}
        for number, stimulus in enumerate(stimuli):
            where.setdefault(self._prefix + stimulus.content, []).append(number)
        texts = list(where)
        with self._endpoint:
            for start in range(0, len(texts), BATCH):
                some = texts[start : start + BATCH]
                vectors = self._endpoint.embed(some)
                numbers = [n for text in some for n in where[text]]
                rows = np.repeat(vectors, [len(where[text]) for text in some], axis=0)
                yield numbers, {("pooled", pooling): rows for pooling in poolings}


class Endpoint:
    """One model at one URL. Opened as a context; connections are kept between requests."""

    def __init__(self, url: str, model: str, key: str = "", *, pause: Callable[[float], None] = time.sleep) -> None:
        """`pause` waits for so many seconds. Raises UsageError for a key that no header can hold."""
        if not key.isascii() or not key.isprintable():
            raise UsageError(
                "the key in the environment holds characters that no header of HTTP may hold",
                hint=f"set {KEYS[0]} to the key alone, without quotes or line breaks",
            )
        self.url = url
        self.model = model
        self._key = key
        self._pause = pause
        self._client: httpx.Client | None = None
        self._width = 0
        self._answered = False

    def __enter__(self) -> Endpoint:
        import httpx

        # Settings of a proxy are for the world outside: a local server is asked directly.
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=self.url.startswith("https:"),
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """One finite float32 row per text, in their order.

        Raises MissingError where the server, the model or the right to ask is not there, UsageError where it refuses the
        texts, CorruptError where what it sends are not such rows.
        """
        body = self._ask({"model": self.model, "input": list(texts), "encoding_format": "float"})
        rows = self._rows(body, len(texts))
        if self._width and rows.shape[1] != self._width:
            raise self._garbled(f"vectors of {rows.shape[1]} numbers after vectors of {self._width}")
        self._width = rows.shape[1]
        return rows

    def _ask(self, question: dict[str, Any]) -> bytes:
        """The body of the answer, after as many tries as it takes, up to `TRIES`."""
        import httpx

        for tried in range(1, TRIES + 1):
            waited = 0.5 * 2 ** (tried - 1)
            try:
                status, headers, body = self._post(question)
            except httpx.TransportError as error:
                # A server that never answered is most likely not there; one that did is having trouble.
                lost, final = error, not self._answered and isinstance(error, httpx.ConnectError)
                why = "cannot be reached" if isinstance(error, httpx.ConnectError) else "does not answer"
                if final or tried == TRIES:
                    raise MissingError(
                        f"{self._where} {why} ({type(lost).__name__}, tried {tried} times)",
                        hint="check the URL and the network; what was read is kept, and the same command goes on from there",
                    ) from error
            else:
                self._answered = True
                if status == 200:
                    return body
                if status not in _AGAIN or tried == TRIES:
                    raise self._refused(status, body)
                waited = max(waited, _retry_after(headers.get("retry-after", "")))
                if waited > LONGEST_PAUSE_S:
                    raise MissingError(
                        f"{self._where} asks to be left alone for {waited:.0f} seconds (status {status})",
                        hint="run again then: what was read is kept",
                    )
            self._pause(waited)
        raise AssertionError("the last try returns or raises")

    def _post(self, question: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        if self._client is None:
            raise UsageError("the endpoint is closed", hint="use it as a context")
        started, parts, size = time.monotonic(), [], 0
        with self._client.stream("POST", f"{self.url}/embeddings", json=question) as answer:
            for part in answer.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES or time.monotonic() - started > ANSWER_S:
                    raise self._garbled("an answer without an end")
            return answer.status_code, answer.headers, b"".join(parts)

    def _rows(self, body: bytes, n: int) -> Float[np.ndarray, "n d"]:
        try:
            data = json.loads(body)["data"]
            by_index = {entry["index"]: entry["embedding"] for entry in data}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._garbled("what is no list of embeddings in JSON") from error
        if len(data) != n or set(by_index) != set(range(n)):
            raise self._garbled(f"{len(data)} vectors for {n} texts, or not one for each")
        try:
            with np.errstate(over="ignore"):  # said below
                rows = np.array([by_index[i] for i in range(n)], dtype=np.float64).astype(np.float32)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._garbled("vectors of different widths, or of what are no numbers") from error
        if rows.ndim != 2 or not rows.shape[1]:
            raise self._garbled("vectors that are no lists of numbers")
        if not np.isfinite(rows).all():
            raise self._garbled("numbers that are not finite")
        return rows

    def _refused(self, status: int, body: bytes) -> ConceptprobeError:
        """The one error that says what a status means."""
        if status in (401, 403):
            # What servers say here may hold parts of the key.
            problem = "does not accept the key of the environment" if self._key else "asks for a key"
            return MissingError(
                f"{self._where} {problem} (status {status})",
                hint=f"set {KEYS[0]}, else {KEYS[1]}, to a key that may use this model",
            )
        if status == 404:
            return MissingError(
                f"{self._where} is not there (status 404)",
                hint="a URL ends before /embeddings, often in /v1; check the model's name on its server",
            )
        if 300 <= status < 400:
            return MissingError(
                f"{self._where} points elsewhere (status {status}), and a key is not carried there",
                hint="name the address it has moved to",
            )
        said = self._said(body)
        if 400 <= status < 500 and status not in _AGAIN:
            return UsageError(
                f"{self._where} refuses these texts (status {status}{said})",
                hint="one of them may be too long for the model, or the model may be another one",
            )
        return MissingError(
            f"{self._where} does not answer (status {status}{said}, tried {TRIES} times)"
            if status in _AGAIN
            else f"{self._where} does not answer as such servers do (status {status}{said})",
            hint="run again later: what was read is kept",
        )

    def _said(self, body: bytes) -> str:
        """What the server says, in one short line without control characters and without the key."""
        try:
            error = json.loads(body)["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        line = line.replace(self._key, "***") if self._key else line
        return f": {line[:200]}"

    def _garbled(self, what: str) -> CorruptError:
        return CorruptError(f"{self._where} sent {what}", hint="does it speak the OpenAI protocol of embeddings?")

    @property
    def _where(self) -> str:
        return f"'{self.model}' at {self.url}"


def _retry_after(value: str) -> float:
    """Seconds that a server asks to wait for, as a number or a date; 0 where it asks for none."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return seconds if 0.0 < seconds < float("inf") else 0.0
