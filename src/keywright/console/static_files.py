"""The files that pages need, kept in memory; their addresses change with their content."""

import gzip
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    content: bytes
    zipped: bytes


class StaticFiles:
    """All of them. What is served is looked up by its whole name, and never on the disk."""

    def __init__(self) -> None:
        self._by_name: dict[str, _File] = {}
        self._names: dict[str, str] = {}
        for each in files("keywright.console").joinpath("static").iterdir():
            path = PurePosixPath(each.name)
            if path.suffix not in _TYPES:
                continue
            content = each.read_bytes()
            name = f"{path.stem}.{sha256(content).hexdigest()[:_HASH_LENGTH]}{path.suffix}"
            zipped = gzip.compress(content, mtime=0)
            self._by_name[name] = _File(_TYPES[path.suffix], content, zipped)
            self._names[each.name] = name

    def url(self, file: str) -> str:
        """The address of a file, by its plain name."""
        return f"/static/{self._names[file]}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for `/static/{name}`."""
        found = self._by_name.get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        headers = {"content-type": found.kind, "cache-control": _FOREVER, "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.zipped, headers={**headers, "content-encoding": "gzip"})
        return Response(found.content, headers=headers)
