"""A sidecar's core without a server: principals by token, and requests as a proxy tells them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keywright.sdk.errors import KeywrightError, PermissionDenied, Unauthenticated
from keywright.sdk.values.results import (
    Credential,
    CredentialKind,
    Principal,
    PrincipalUser,
    UserKind,
)
from keywright.sidecar.config import ORIGINAL_REQUEST
from keywright.sidecar.decisions import Decision
from keywright.sidecar.gate import Gate
from keywright.sidecar.planning import Request
from keywright.sidecar.policy import parse_config

GOOD, NARROW, BOUND = "kw_live_good", "kw_live_narrow", "kw_live_bound"


def principal(name: str, *permissions: str, whole_authority: bool = True) -> Principal:
    """Somebody of the workspace `acme` with a key of the same name."""
    user = PrincipalUser(
        name=f"workspaces/acme/users/{name}",
        email=f"{name}@acme.example",
        display_name=name,
        kind=UserKind.HUMAN,
        external_id="",
        labels={},
    )
    return Principal(
        workspace="workspaces/acme",
        user=user,
        credential=Credential(f"workspaces/acme/keys/{name}", "", {}, CredentialKind.KEY),
        environment="live",
        role="workspaces/acme/roles/admin",
        whole_authority=whole_authority,
        permissions=permissions,
        scopes=(),
        resource="",
        allowed_networks=(),
        rate_limit=None,
        expire_time=None,
        revision="1",
    )


class Known:
    """Knows principals by their tokens, as `Authenticator` does; remembers what it was asked."""

    def __init__(self, principals: Mapping[str, Principal | KeywrightError]) -> None:
        self._principals = principals
        self.asked: list[tuple[str, str, tuple[str, ...], str, str]] = []

    def recall(self, *_: object) -> None:
        """Nothing is remembered."""

    async def authenticate(
        self,
        token: str,
        *,
        resource: str = "",
        require: Sequence[str] = (),
        environment: str = "",
        client_address: str = "",
    ) -> Principal:
        """Who presents a token; whatever it lacks of `require` is missing."""
        self.asked.append((token, resource, tuple(require), environment, client_address))
        found = self._principals.get(token)
        if found is None:
            raise Unauthenticated("the token is unknown", reason="TOKEN_UNKNOWN")
        if isinstance(found, KeywrightError):
            raise found
        for permission in require:
            if permission not in found.permissions and "*" not in found.permissions:
                raise PermissionDenied(f"{permission} is missing", reason="PERMISSION_MISSING")
        return found


KNOWN = {
    GOOD: principal("ann", "*"),
    NARROW: principal("bob", "projects.read", whole_authority=False),
}


class Checked:
    """A gate with a configuration, what it has observed, and what its authenticator was asked."""

    def __init__(
        self,
        toml: str,
        principals: Mapping[str, Principal | KeywrightError] = KNOWN,
        max_concurrent: int = 10,
    ) -> None:
        self.config = parse_config(toml, Path("sidecar.toml"))
        self.authenticator = Known(principals)
        self.observed: list[tuple[str, Decision]] = []
        self.faults: list[Exception] = []
        forward_auth = self.config.forward_auth
        self.gate = Gate(
            self.authenticator,
            self.config.routes,
            identity=self.config.identity,
            sources=self.config.credentials,
            told=ORIGINAL_REQUEST[forward_auth.proxy].names if forward_auth else (),
            max_concurrent=max_concurrent,
            observe=lambda _transport, label, decision, _seconds: self.observed.append(
                (label, decision)
            ),
            fault=self.faults.append,
        )

    async def ask(
        self,
        target: str = "/projects/abc",
        *headers: tuple[str, str],
        method: str = "GET",
        token: str = GOOD,
        client_address: str = "",
    ) -> Decision:
        """What is decided of a request with this token (empty: none) and these headers."""
        presented = [("authorization", f"Bearer {token}")] if token else []
        sent = [(name.lower(), value) for name, value in [*headers, *presented]]
        keys = self.gate.key_headers
        others = tuple(header for header in sent if header[0] not in keys)
        plan = self.gate.plan(Request(method, target, others, client_address))
        return await self.gate.decide("test", plan, [each for each in sent if each[0] in keys])


def received(decision: Decision, sent: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers that reach an application after a proxy has done what a decision says.

    The most obedient one, which then removes whatever `Connection` lists.
    """
    assert decision.allowed
    gone = {*decision.removed, *(name for name, _ in decision.headers)}
    kept = [(name, value) for name, value in sent if name.lower() not in gone]
    listed = {
        option.strip().lower().replace("_", "-")
        for name, value in sent
        if name.lower() == "connection"
        for option in value.split(",")
    }
    return [each for each in [*kept, *decision.headers] if each[0].lower() not in listed]
