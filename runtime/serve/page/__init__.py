"""The daemon's page: plain files, given to browsers as they are. What there is to ask for is settled when the daemon
starts, so no request ever names a file."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_HERE = Path(__file__).parent
_INDEX = "index.html"
_TOKEN = '<meta name="accel-token" content="">'
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent; `tag` is another one where its bytes are."""

    body: bytes
    kind: str
    tag: str


def paths() -> frozenset[str]:
    """Under which the page and its files are asked for."""
    return frozenset(_path(file) for file in _files())


def assets(token: str) -> dict[str, Asset]:
    """By path. `token` lets the page's own requests in; "" where keys do."""
    found: dict[str, Asset] = {}
    for file in _files():
        body = file.read_bytes()
        if file.name == _INDEX:
            body = body.replace(_TOKEN.encode(), _TOKEN.replace('""', f'"{escape(token)}"').encode())
        found[_path(file)] = Asset(body, _KINDS[file.suffix], f'"{blake2b(body, digest_size=16).hexdigest()}"')
    return found


def routes(token: str) -> list[Route]:
    return [Route(path, _giving(asset)) for path, asset in assets(token).items()]


def _giving(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    headers = {"etag": asset.tag, "cache-control": "no-cache"}

    async def give(request: Request) -> Response:
        if asset.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.body, media_type=asset.kind, headers=headers)

    return give


def _files() -> list[Path]:
    return sorted(file for file in _HERE.iterdir() if file.suffix in _KINDS)


def _path(file: Path) -> str:
    return "/" if file.name == _INDEX else f"/page/{file.name}"
