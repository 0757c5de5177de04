"""What several tests here share: a folder of their own for accel's files, and a small model hub on loopback."""

import hashlib
import json
import math
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

import pytest

from accel.runtime.drafting import conductor, reading

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves `files[repo][name]` as a model hub does, and misbehaves when told to."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str]] = []  # (path, Range header)
        self.sent = 0  # bytes of files
        self.cut_after: list[int] = []  # the next responses with a file break off after so many bytes
        self.ranges = True
        self.redirects = False  # files lie elsewhere, as on a content network
        self.listing: bytes | None = None  # instead of the true one
        self.wrong_sha256 = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                hub.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.asked.append((path, request.headers.get("Range", "")))
        if listed := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            return self._list(request, listed[1])
        if wanted := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if self.redirects and wanted[2] != "elsewhere":
                place = f"{self.endpoint}/{wanted[1]}/resolve/elsewhere/{quote(wanted[3])}?signed=1"
                return self._send(request, 302, b"", {"Location": place})
            body = self.files.get(wanted[1], {}).get(wanted[3])
            if body is not None and wanted[2] in (COMMIT, "elsewhere"):
                return self._send_file(request, body)
            return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})
        return self._send(request, 404, b"")

    def _list(self, request: BaseHTTPRequestHandler, repo: str) -> None:
        if repo not in self.files:
            return self._send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        siblings = [
            {"rfilename": name, "size": len(body), "lfs": {"sha256": self._sha256(body), "size": len(body)}}
            for name, body in self.files[repo].items()
        ]
        body = json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode()
        return self._send(request, 200, self.listing if self.listing is not None else body)

    def _sha256(self, body: bytes) -> str:
        return hashlib.sha256(body + b"x" * self.wrong_sha256).hexdigest()

    def _send_file(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        headers = {"ETag": f'"{self._sha256(body)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if not asked or not self.ranges:
            return self._send(request, 200, body, headers)
        start, end = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
        return self._send(request, 206, body[start : end + 1], headers)

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict | None = None) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if status in (200, 206) and "/resolve/" in request.path:
            if self.cut_after:
                body = body[: self.cut_after.pop(0)]
                request.close_connection = True
            self.sent += len(body)
        request.wfile.write(body)
        request.wfile.flush()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """accel's cache, settings and state, away from the user's."""
    monkeypatch.setenv("ACCEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    """A hub on loopback that huggingface_hub talks to, here and in child processes."""
    from huggingface_hub import constants

    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "shared"))
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "shared"))
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(scope="module")
def looking_is_free() -> Iterator[None]:
    """Beside tokens of an engine that takes no time all else is dear."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_SHARE", math.inf)
        patch.setattr(conductor, "_SHARE", math.inf)
        patch.setattr(conductor, "_GAINED", math.inf)
        yield
