"""A hub on this machine: enough of the API of huggingface.co for huggingface_hub to list and download models from it."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass
class Hub:
    """The models it has, and what it was asked for."""

    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """{org/name: {file: content}}, on the branch main."""
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """`METHOD path`, in order."""
    break_after: dict[str, int] = field(default_factory=dict)
    """{file: bytes of it that are sent before the line breaks}, until it is taken out."""
    resumed: list[int] = field(default_factory=list)
    """Bytes that were already there, of every request for the rest of a file."""
    url: str = ""

    def add(self, repo: str, folder: Path) -> None:
        """A model as it lies in a folder."""
        self.models[repo] = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def fetched(self) -> list[str]:
        """Files whose content was asked for."""
        return [
            line.rpartition(f"/resolve/{COMMIT}/")[2]
            for line in self.asked
            if line.startswith("GET") and "/resolve/" in line
        ]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without models, on a free port of this machine."""
    hub = Hub()

    class Handler(_Handler):
        shared = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answers(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make huggingface_hub ask this hub, in this process, and keep whatever it keeps under `home`."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(home / "harnesses.json"), raising=False)


_REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
_ABOUT = re.compile(rf"/api/models/{_REPO}(/revision/(?P<revision>.+))?")
_TREE = re.compile(rf"/api/models/{_REPO}/tree/(?P<revision>.+)")
_FILE = re.compile(rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class _Handler(BaseHTTPRequestHandler):
    shared: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.shared, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        found = next((m for pattern in (_TREE, _FILE, _ABOUT) if (m := pattern.fullmatch(path))), None)
        if path == "/api/models" and hub.models:
            return self._send(b"[]", body)
        if found is None:
            return self._refuse(404, "EntryNotFound")
        repo, revision = found["repo"], found["revision"] or "main"
        if repo not in hub.models:
            return self._refuse(404, "RepoNotFound")
        if revision not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        files = hub.models[repo]
        if found.re is _FILE:
            return self._file(repo, found["file"], body)
        sizes = [
            {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()} for n, c in files.items()
        ]
        about = {
            "id": repo,
            "sha": COMMIT,
            "private": False,
            "gated": "manual" if repo in hub.gated else False,
            "siblings": [{"rfilename": f["path"], "size": f["size"], "blobId": f["oid"]} for f in sizes],
        }
        return self._send(json.dumps(sizes if found.re is _TREE else about).encode(), body)

    def _file(self, repo: str, name: str, body: bool) -> None:
        if repo in self.shared.gated:
            return self._refuse(403, "GatedRepo")
        content = self.shared.models[repo].get(name)
        if content is None:
            return self._refuse(404, "EntryNotFound")
        named = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        if start:
            self.shared.resumed.append(start)
            named["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        until = self.shared.break_after.get(name)
        self._send(content[start:], body, named, status=206 if start else 200, until=until)

    def _refuse(self, status: int, code: str) -> None:
        self._send(b"", True, {"X-Error-Code": code, "X-Error-Message": code}, status=status)

    def _send(
        self,
        content: bytes,
        body: bool,
        headers: dict[str, str] | None = None,
        *,
        status: int = 200,
        until: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:until])
            if until is not None and until < len(content):
                self.close_connection = True
