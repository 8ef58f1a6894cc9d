"""A small endpoint that speaks the OpenAI protocol of embeddings, with vectors anybody can compute: bags of hashed words."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from conceptprobe.stimuli.words import words

WIDTH = 24
KEY = "key-of-the-tests-0123456789"


def vector(text: str) -> list[float]:
    """The mean over words of Gaussian vectors drawn from their hashes, and a little of the word before each."""
    rows = [_drawn(word) for word in words(text)] or [_drawn("")]
    pairs = [_drawn(f"{a} {b}") for a, b in zip(words(text), words(text)[1:], strict=False)]
    return (np.mean(rows, axis=0) + 0.3 * np.mean(pairs or rows, axis=0)).tolist()


@cache
def _drawn(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(WIDTH)


def answer(texts: list[str]) -> dict[str, Any]:
    """What a sound server answers."""
    return {"data": [{"index": i, "embedding": vector(text)} for i, text in enumerate(texts)]}


Reply = tuple[int, dict[str, str], bytes]
Script = Callable[[int, dict[str, Any]], Reply | None]
"""(number of the request, its body) -> what to answer, or None for a sound answer."""


@dataclass
class Served:
    """A running server: where it is, and what it was asked."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    script: Script = lambda number, body: None
    key: str = ""
    """Where set, requests without it are refused."""

    @property
    def texts(self) -> list[str]:
        """Every text it was sent, in order."""
        return [text for body in self.asked for text in body["input"]]


@contextmanager
def serving(script: Script = lambda number, body: None, key: str = "") -> Iterator[Served]:
    """A server on this machine for as long as the context is open."""
    here = Served("", script=script, key=key)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            given = self.headers.get("Authorization", "")
            with lock:
                here.asked.append(body)
                here.keys.append(given)
                here.paths.append(self.path)
                number = len(here.asked)
            reply = here.script(number, body)
            if here.key and given != f"Bearer {here.key}":
                said = {"error": {"message": f"Incorrect API key provided: {given}"}}
                reply = (401, {}, json.dumps(said).encode())
            status, headers, content = reply or (200, {}, json.dumps(answer(body["input"])).encode())
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
