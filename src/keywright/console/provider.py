"""An OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1).

What comes of it, the id token, is not looked into here: the server verifies it.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from keywright.console.config import OpenIdConnect
from keywright.console.settings import is_this_machine
from keywright.sdk import Secret

_DISCOVERY = "/.well-known/openid-configuration"
_KNOWN_FOR_SECONDS = 3_600.0
_TIMEOUT_SECONDS = 10.0
_RANDOM_BYTES = 32
_NEXT_MAX_LENGTH = 2_000  # a cookie holds 4,096 bytes
_ENDPOINTS = ("authorization_endpoint", "token_endpoint")


class ProviderError(Exception):
    """The provider is out of reach, or does not do its part; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a sign-in was begun with: the browser keeps it until the provider sends it back.

    Nobody else can present it: the cookie that it is in cannot be set from elsewhere.
    """

    state: str
    nonce: str
    verifier: str
    next: str

    def packed(self) -> Secret:
        """As a cookie has it."""
        return Secret(base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode())

    @classmethod
    def unpack(cls, packed: Secret | None) -> "Begun | None":
        """What a cookie says; None if it is none of ours."""
        try:
            found = json.loads(base64.urlsafe_b64decode((packed or Secret("")).reveal()))
            begun = cls(**found)
        except (ValueError, TypeError):
            return None
        is_whole = all(isinstance(each, str) and each for each in asdict(begun).values())
        return begun if is_whole else None


class Provider:
    """One provider, for one client of it.

    Args:
        config: which.
        redirect_uri: where it sends people back to.
    """

    def __init__(self, config: OpenIdConnect, redirect_uri: str) -> None:
        self._config = config
        self._redirect_uri = redirect_uri
        self._metadata: Mapping[str, Any] = {}
        self._known_until = 0.0
        self._asking = asyncio.Lock()
        file = config.client_secret_file
        self._secret = None if file is None else Secret(file.read_text().strip())

    async def begin(self, target: str) -> tuple[str, Begun]:
        """Where to send the browser, and what it is to keep.

        Raises:
            ProviderError: the provider is out of reach.
        """
        metadata = await self._discovered()
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        begun = Begun(
            state,
            nonce,
            verifier,
            target if len(target) <= _NEXT_MAX_LENGTH else urlsplit(target).path,
        )
        async with self._client(metadata) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=begun.state,
                nonce=begun.nonce,
                code_verifier=begun.verifier,
            )
        return str(url), begun

    async def redeem(self, code: str, issuer: str, begun: Begun) -> Secret:
        """The id token for a code.

        Args:
            code: what the provider sent the browser back with.
            issuer: who it says it is (RFC 9207): a code of another provider is not shown to this
                one; empty if it does not say.
            begun: what this sign-in was begun with.

        Raises:
            ProviderError: the provider is out of reach, or does not take the code.
        """
        metadata = await self._discovered()
        says_who = metadata.get("authorization_response_iss_parameter_supported") is True
        if issuer != self._config.issuer and (issuer or says_who):
            raise ProviderError("the answer is another provider's")
        try:
            async with self._client(metadata) as client:
                told = await client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=begun.verifier
                )
        except (httpx2.HTTPError, OAuthError, ValueError) as error:
            raise ProviderError(f"no token for the code: {type(error).__name__}") from error
        id_token = told.get("id_token")
        if not isinstance(id_token, str):
            raise ProviderError("there is no id token in its answer")
        return Secret(id_token)

    def _client(self, metadata: Mapping[str, Any]) -> AsyncOAuth2Client:
        offered = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic"
        if self._secret is None:
            method = "none"
        elif method not in offered:
            method = "client_secret_post"
        return AsyncOAuth2Client(
            client_id=self._config.client_id,
            client_secret=None if self._secret is None else self._secret.reveal(),
            token_endpoint_auth_method=method,
            scope=" ".join(self._config.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_SECONDS,
        )

    async def _discovered(self) -> Mapping[str, Any]:
        """What the provider publishes about itself (OpenID Connect Discovery 1.0, section 4)."""
        async with self._asking:
            if time.monotonic() >= self._known_until:
                self._metadata = await self._fetched()
                self._known_until = time.monotonic() + _KNOWN_FOR_SECONDS
            return self._metadata

    async def _fetched(self) -> Mapping[str, Any]:
        url = f"{self._config.issuer.rstrip('/')}{_DISCOVERY}"
        try:
            async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
                found = (await client.get(url)).raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise ProviderError(f"{url}: {type(error).__name__}") from error
        if not isinstance(found, dict) or found.get("issuer") != self._config.issuer:
            raise ProviderError(f"{url} is not about the issuer {self._config.issuer}")
        for name in _ENDPOINTS:
            if not _is_endpoint(found.get(name)):
                raise ProviderError(f"{url} has no {name} with https://")
        return found


def _is_endpoint(url: object) -> bool:
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and is_this_machine(parts.hostname or "")
    return bool(parts.hostname) and (parts.scheme == "https" or is_local)
