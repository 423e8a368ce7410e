"""Whose tokens are looked up: what a source asks for in vain is limited.

What is remembered is answered to everybody. What is not costs a query, and Argon2 if the secret is
right; whoever has asked for much that is nobody's has to wait for that, and nobody else does. Told
from memory, so a flood costs about what as many answers from memory do (promise G11).
"""

from dataclasses import dataclass
from datetime import timedelta

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.keys import Address
from keywright.security.failure_limit import FailureLimit, source_of
from keywright.service.known import Caller
from keywright.service.memory import scope

# Enough for the slower of the two limits to let another one pass.
_RETRY_DELAY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a token comes from.

    Attributes:
        caller: who presents it; None as long as that is not known, or where anybody may.
        peer: the address that the caller calls from.
        client: the address that the caller says the token came from.
    """

    caller: Caller | None
    peer: Address | None
    client: Address | None


@dataclass(frozen=True, slots=True)
class Admission:
    """Counts look-ups in vain: by the client's address, if that is told, and by the caller.

    A caller speaks for many clients, so its share is the larger one. One that is not known is
    whoever calls from that address; what it says of clients counts for nothing.
    """

    by_address: FailureLimit
    by_caller: FailureLimit

    def refusal(self, source: Source) -> ServiceError | None:
        """FAILURES_LIMITED, if a look-up for this source has to wait; None if not."""
        client = _client(source)
        if not self.by_caller.admits(_caller(source)):
            return limited()
        if client is not None and not self.by_address.admits(client):
            return limited()
        return None

    def failed(self, source: Source) -> None:
        """A token of this source was looked up, and is nobody's."""
        self.by_caller.failed(_caller(source))
        client = _client(source)
        if client is not None:
            self.by_address.failed(client)


def limited() -> ServiceError:
    """What is told to whoever has to wait."""
    return ServiceError(
        Reason.FAILURES_LIMITED,
        "too many unknown tokens have come from there; try again later",
        retry_delay=_RETRY_DELAY,
    )


def _caller(source: Source) -> str:
    if source.caller is None:
        return source_of(source.peer, "")
    return str(source.caller.principal.credential.record.name)


def _client(source: Source) -> str | None:
    """The client, as its workspace knows it: none takes away what another one's has."""
    if source.caller is None or source.client is None:
        return None
    return f"{scope(source.caller)} {source_of(source.client, '')}"
