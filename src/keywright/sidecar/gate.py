"""The core: who presents a key, whether they may, and what is answered. It knows no transport.

plan, key -> what is remembered, or else Authenticator -> decision
"""

from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Protocol

from keywright.sdk.drop_ins.challenge import is_about_token
from keywright.sdk.drop_ins.http_denial import Denials, denial, unavailable
from keywright.sdk.drop_ins.presented import API_KEY, CredentialReader, RefusedCredential
from keywright.sdk.drop_ins.routes import Routes
from keywright.sdk.errors import KeywrightError
from keywright.sdk.values.results import Principal
from keywright.sidecar.by_identity import ByIdentity
from keywright.sidecar.config import CredentialSource
from keywright.sidecar.decisions import REALM, Decision, denied, refused
from keywright.sidecar.headers import IdentityHeaders, IdentityTooLarge
from keywright.sidecar.inspection import HeaderInspection
from keywright.sidecar.planning import Plan, Planner


class Authenticates(Protocol):
    """What the gate needs of `keywright.sdk.authenticating.authenticator.Authenticator`."""

    def recall(
        self,
        token: str,
        resource: str,
        require: Sequence[str],
        environment: str,
        client_address: str,
    ) -> Principal | None:
        """Who presents a token, if that is known under a lease; the use is counted."""
        ...

    async def authenticate(
        self,
        token: str,
        *,
        resource: str = "",
        require: Sequence[str] = (),
        environment: str = "",
        client_address: str = "",
    ) -> Principal:
        """Who presents a token."""
        ...


Observer = Callable[[str, str, Decision, float], None]
"""Told of a decision: by which transport, the rule's label, what, and after how many seconds."""
Fault = Callable[[Exception], None]


class Gate:
    """Decides about requests.

    Args:
        authenticator: tells who presents a token.
        routes: what is needed where.
        identity: the headers that tell an application who asks.
        sources: where a key may be.
        told: headers that a proxy tells the original request in, which nothing else may stand for.
        max_concurrent: more requests at a time are answered 503.
        observe: is told of each decision.
        fault: is told of each error that is not about a token.
    """

    def __init__(
        self,
        authenticator: Authenticates,
        routes: Routes,
        *,
        identity: IdentityHeaders,
        sources: Collection[CredentialSource],
        told: Collection[str] = (),
        max_concurrent: int,
        observe: Observer,
        fault: Fault,
    ) -> None:
        basic = CredentialSource.BASIC in sources
        self._denials = Denials(REALM, basic=basic)
        self._token = CredentialReader(
            bearer=CredentialSource.BEARER in sources,
            basic=basic,
            api_key_header=API_KEY if CredentialSource.X_API_KEY in sources else None,
        )
        self.key_headers = self._token.headers
        """Where a key may be: what is sent in these is a credential."""
        self.inspection = HeaderInspection(identity, self.key_headers, told)
        self.plan = Planner(routes, self.inspection, self._let_through(identity.of_nobody()))
        self.in_flight = 0
        self._authenticator = authenticator
        self._identity = identity
        self._max_concurrent = max_concurrent
        self._observe = observe
        self._fault = fault
        self._to_principal = ByIdentity(self._identified)

    def at_once(
        self, transport: str, plan: Plan, credentials: Sequence[tuple[str, str]]
    ) -> Decision | None:
        """The answer to a request, if nobody has to be asked for it; it never raises.

        Args:
            transport: for whoever observes.
            plan: from `plan`.
            credentials: what was sent in `key_headers`: names in lower case, and values.
        """
        begun = perf_counter()
        decision = plan.decision
        if decision is None:
            try:
                decision = self._recalled(plan, credentials)
            except Exception as error:  # noqa: BLE001  whatever it is: nobody is let through
                decision = self._failed(error, plan)
            if decision is None:
                return None
        self._observe(transport, plan.rule.label, decision, perf_counter() - begun)
        return decision

    async def decide(
        self, transport: str, plan: Plan, credentials: Sequence[tuple[str, str]]
    ) -> Decision:
        """The answer to a request; as `at_once`, but that the server is asked if need be."""
        decision = self.at_once(transport, plan, credentials)
        if decision is not None:
            return decision
        begun = perf_counter()
        try:
            decision = await self._asked(plan, credentials)
        except Exception as error:  # noqa: BLE001  as above
            decision = self._failed(error, plan)
        self._observe(transport, plan.rule.label, decision, perf_counter() - begun)
        return decision

    def _recalled(self, plan: Plan, credentials: Sequence[tuple[str, str]]) -> Decision | None:
        token = self._token(credentials)
        if not token:
            return denied(self._denials.without_credential())
        rule = plan.rule
        principal = self._authenticator.recall(
            token, rule.resource, rule.permissions, rule.required_environment, plan.client_address
        )
        return None if principal is None else self._to_principal(principal)

    async def _asked(self, plan: Plan, credentials: Sequence[tuple[str, str]]) -> Decision:
        if self.in_flight >= self._max_concurrent:
            return denied(unavailable("OVERLOADED", "too many requests at a time"))
        rule = plan.rule
        self.in_flight += 1
        try:
            principal = await self._authenticator.authenticate(
                self._token(credentials),
                resource=rule.resource,
                require=rule.permissions,
                environment=rule.required_environment,
                client_address=plan.client_address,
            )
        finally:
            self.in_flight -= 1
        return self._to_principal(principal)

    def _failed(self, error: Exception, plan: Plan) -> Decision:
        if isinstance(error, RefusedCredential):
            return refused("CREDENTIAL_REFUSED", str(error))
        if isinstance(error, IdentityTooLarge):
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return denied(denial(status, "IDENTITY_TOO_LARGE", str(error)))
        if not is_about_token(error):
            self._fault(error)
        if not isinstance(error, KeywrightError):
            return denied(unavailable("INTERNAL", "the sidecar failed"))
        return denied(self._denials.of(error, plan.rule.permissions))

    def _identified(self, principal: Principal) -> Decision:
        return self._let_through(self._identity.of(principal), principal)

    def _let_through(
        self, headers: tuple[tuple[str, str], ...], principal: Principal | None = None
    ) -> Decision:
        return Decision(
            int(HTTPStatus.OK),  # looked up all the time, for which an enumeration is slow
            headers,
            removed=self.key_headers,
            principal=principal,
            allowed=True,
        )
