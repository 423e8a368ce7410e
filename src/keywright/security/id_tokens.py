"""Id tokens of OpenID Connect: who a provider says has signed in there, to us, just now.

OpenID Connect Core 1.0, section 3.1.3.7. Only algorithms with public keys are let through: with
others, whoever knows the provider's public keys could sign ("alg": "none", or HS256 with a public
key as the secret; CVE-2015-9235).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from keywright.security.provider_keys import ProviderKeys

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
AGE_MAX = timedelta(minutes=10)
"""Who signs in shows the token at once; one that lay about somewhere is of no use."""

_LEEWAY = timedelta(seconds=30)


class IdTokenError(Exception):
    """The token does not verify, or is not for us, this nonce or this time."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider has seen; `email` is None unless the provider has verified it."""

    subject: str
    email: str | None


@dataclass(frozen=True, slots=True)
class IdTokens:
    """Verifies the id tokens of one provider, made for one client.

    `now` are seconds since 1970.
    """

    issuer: str
    client_id: str
    keys: ProviderKeys
    now: Callable[[], float]

    async def verify(self, text: str, nonce: str) -> Identity:
        """Whom the token is about.

        Raises:
            IdTokenError: it is no good; the message says in which way, and nothing of what it says.
            ProviderKeysError: the provider's keys cannot be had.
        """
        try:
            header = jws.extract_compact(text.encode()).headers()
            kid = header.get("kid")
            if header.get("alg") not in ALGORITHMS or not isinstance(kid, str | None):
                raise IdTokenError("it is signed in a way that is not accepted")
            keys = await self.keys.having(kid)
            claims = jwt.decode(text, keys, algorithms=ALGORITHMS).claims
            self._registry(nonce).validate(claims)
        except (JoseError, ValueError) as error:
            raise IdTokenError("it does not verify, or is for another client or time") from error
        return self._identity(claims)

    def _registry(self, nonce: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self.now()),
            leeway=int(_LEEWAY.total_seconds()),
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )

    def _identity(self, claims: dict[str, Any]) -> Identity:
        if claims["iat"] < self.now() - AGE_MAX.total_seconds():
            raise IdTokenError("it is too old")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", "" if several else self.client_id) != self.client_id:
            raise IdTokenError("it was issued to another client")
        subject, email = claims["sub"], claims.get("email")
        if not isinstance(subject, str):
            raise IdTokenError("it names nobody")
        # `true` and nothing that is taken for it: a provider that says "false" means that.
        verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(subject, email if verified else None)
