"""An OpenID Connect provider, as far as id tokens go: it signs them, and publishes its keys."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

ISSUER = "https://id.example.com"
CLIENT = "keywright-console"
NONCE = "a-nonce"


@dataclass
class Provider:
    """`published` are the keys that it shows; `asked` counts who wanted to see them.

    `broken` has it answer with something else.
    """

    signing: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    published: list[RSAKey | ECKey] = field(default_factory=list)
    asked: int = 0
    broken: bytes | None = None
    url: str = ""

    def __post_init__(self) -> None:
        self.published.append(self.signing)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that trusts it."""
        return {"oidc_issuer": ISSUER, "oidc_client_id": CLIENT, "oidc_jwks_url": self.url}

    def claims(self, **other: Any) -> dict[str, Any]:
        """What a good token says, but for what is given; None leaves a claim out."""
        now = int(time.time())
        good = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": NONCE,
        }
        return {name: value for name, value in (good | other).items() if value is not None}

    def token(self, key: Any = None, alg: str = "RS256", **claims: Any) -> str:
        """A signed token."""
        key = key or self.signing
        header = {"alg": alg, "kid": key.kid}
        return jwt.encode(header, self.claims(**claims), key, algorithms=[alg])

    def document(self) -> bytes:
        """What it publishes."""
        keys = [each.as_dict(private=False) for each in self.published]
        return json.dumps({"keys": keys}).encode() if self.broken is None else self.broken


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that serves its keys over HTTP for as long as the block."""
    shown = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.asked += 1
            content = shown.document()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shown.url = f"http://127.0.0.1:{server.server_port}/keys"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
