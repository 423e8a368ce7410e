"""How every mutation runs: in one transaction, and once for each `request_id` (AIP-155).

1. Begin, with the locks of what creates. 2. Claim the `request_id`: whoever repeats it waits here
until the first is through, on whichever server that runs, and is told what came of it. 3. Lock,
check, write, with the audit event: the use case. 4. Keep the reply for repetitions. 5. Advance the
history, if authority changed. 6. Commit, nothing between 5 and 6 (DESIGN section 5).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.identity import RequestIdentity
from keywright.domain.position import Position
from keywright.service.call import Call, ConfirmedCall
from keywright.storage.authority import Change, Held
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.request_ids import EarlierRequest

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Mutated(Generic[Value]):
    """What a transaction has done: what is told of it, and the rows whose authority changed.

    `seen` is the position that it read. What changes nothing has that one: an earlier caller may
    still be waiting for it.
    """

    value: Value
    seen: Position
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Committed(Generic[Value]):
    """What was committed, and the position of the history at which it is in force."""

    value: Value
    position: Position


@dataclass(slots=True)
class Replayed(Exception):
    """The call repeats one that was committed: the reply it had, and where the history stands."""

    reply: bytes
    position: Position


async def creating(
    database: Database,
    call: Call,
    transaction: Callable[[Writes, ConfirmedCall], Awaitable[Mutated[Value]]],
) -> Committed[Value]:
    """Run and commit what creates, for the call as it is confirmed at the beginning.

    The caller and its workspace stay as they are until the end: once the revocation of the caller's
    key, or whatever else takes something from the caller, has returned, nothing comes into being by
    that any more.

    Raises:
        Replayed: the call repeats one that was committed.
        ServiceError: REQUEST_ID_REUSED.
    """

    async def confirmed(writes: Writes) -> Mutated[Value]:
        return await transaction(writes, await call.confirm(writes))

    credential = call.caller.credential
    held = Held(
        workspace=credential.workspace_internal_id,
        user=credential.user.internal_id,
        key=credential.key.internal_id,
    )
    return await _once(database, call, confirmed, holding=held)


async def changing(
    database: Database, call: Call, transaction: Callable[[Writes], Awaitable[Mutated[Value]]]
) -> Committed[Value]:
    """Run and commit what changes; `transaction` begins with `Call.lock`.

    Raises:
        Replayed: the call repeats one that was committed.
        ServiceError: REQUEST_ID_REUSED.
    """
    return await _once(database, call, transaction)


@dataclass(frozen=True, slots=True)
class Repetitions:
    """Tells repetitions that failed before they got to claim their id."""

    database: Database

    async def earlier(self, call: Call) -> Replayed | None:
        """What came of a call when it was first made, if that was committed.

        Asked where it fails the second time: the key is gone that it changed, or other than it was.

        Raises:
            ServiceError: REQUEST_ID_REUSED.
        """
        if call.request is None:
            return None
        identity = call.request.identity
        async with self.database.reading() as reads:
            earlier = await reads.requests.earlier(call.caller.user.internal_id, identity)
            return None if earlier is None else await _replayed(reads, identity, earlier)


async def _once(
    database: Database,
    call: Call,
    transaction: Callable[[Writes], Awaitable[Mutated[Value]]],
    *,
    holding: Held | None = None,
) -> Committed[Value]:
    async def steps(writes: Writes) -> Committed[Value]:
        await _claim(writes, call)
        done = await transaction(writes)
        if call.request is not None:
            reply = call.request.reply_to_repetitions(done.value)
            await writes.requests.keep(call.caller.user.internal_id, call.request.identity, reply)
        if not done.changes:
            return Committed(done.value, done.seen)
        return Committed(done.value, await writes.authority.advance(done.changes))

    return await database.writing(steps, within=call.remaining(), holding=holding)


async def _claim(writes: Writes, call: Call) -> None:
    if call.request is None:
        return
    identity = call.request.identity
    earlier = await writes.requests.claim(call.caller.user.internal_id, identity)
    if earlier is not None:
        raise await _replayed(writes.read, identity, earlier)


async def _replayed(reads: Reads, identity: RequestIdentity, earlier: EarlierRequest) -> Replayed:
    if earlier.digest != identity.digest:
        raise ServiceError(
            Reason.REQUEST_ID_REUSED,
            "this request_id was used for a request with another content, or with another "
            "credential: use a new one",
        )
    return Replayed(earlier.reply, await reads.position())
