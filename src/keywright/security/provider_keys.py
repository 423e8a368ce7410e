"""The public keys of an OpenID Connect provider (JWKS, RFC 7517): fetched, and kept for a while.

A token that names a key which is not among them has them fetched anew, as providers rotate keys;
but anybody can make such tokens, so that is done once in a while only, for all who wait together.
"""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPException
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet

AGE_MAX = timedelta(hours=1)
PAUSE = timedelta(seconds=10)
"""Between two fetches, whatever became of the first."""

_PATIENCE = timedelta(seconds=8)
_SIZE_MAX_BYTES = 256 * 2**10
_KINDS = frozenset({"RSA", "EC", "OKP"})


class ProviderKeysError(Exception):
    """The keys cannot be had at the moment."""


@dataclass(slots=True)
class ProviderKeys:
    """Keeps the keys that `fetch` gives as JSON; `now` are seconds of a clock that never goes back.

    `fetches` counts them.
    """

    fetch: Callable[[], Awaitable[bytes]]
    now: Callable[[], float]
    fetches: int = 0
    _keys: KeySet | None = None
    _fetched: float = 0
    _next: float = 0
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def having(self, kid: str | None) -> KeySet:
        """The keys, with the one of that id if the provider has it by now; None is any.

        Raises:
            ProviderKeysError: there are none, and none to be had.
        """
        if not self._has(kid):
            async with self._fetching:
                if not self._has(kid) and self.now() >= self._next:
                    await self._renew()
        if self._keys is None or self._is_old():
            raise ProviderKeysError
        return self._keys

    def _has(self, kid: str | None) -> bool:
        if self._keys is None or self._is_old():
            return False
        return kid is None or any(key.kid == kid for key in self._keys)

    def _is_old(self) -> bool:
        return self.now() >= self._fetched + AGE_MAX.total_seconds()

    async def _renew(self) -> None:
        self._next = self.now() + PAUSE.total_seconds()
        self.fetches += 1
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                self._keys = _key_set(await self.fetch())
        except (OSError, HTTPException, ValueError) as error:  # a timeout is an OSError
            if self._keys is None or self._is_old():
                raise ProviderKeysError from error
            return
        self._fetched = self.now()


def fetching(url: str) -> Callable[[], Awaitable[bytes]]:
    """What fetches `url`, over HTTP or HTTPS as it says; a redirect is not followed."""

    def fetch() -> bytes:
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  the operator's
        opener = urllib.request.build_opener(_NoRedirects)
        with opener.open(request, timeout=_PATIENCE.total_seconds()) as reply:
            content: bytes = reply.read(_SIZE_MAX_BYTES + 1)
        if len(content) > _SIZE_MAX_BYTES:
            raise ValueError("the provider's keys are too long")
        return content

    return lambda: asyncio.to_thread(fetch)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Whoever could redirect could give keys of its own."""

    def redirect_request(self, *_args: Any) -> None:
        return None


def _key_set(content: bytes) -> KeySet:
    """The keys that can verify; a provider may have others beside them, of kinds yet to come."""
    document = json.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = []
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("kty") in _KINDS:
            with suppress(JoseError, ValueError, TypeError):
                keys.append(JWKRegistry.import_key(each))
    if not keys:
        raise ValueError("the provider has no keys that could verify")
    return KeySet(keys)
