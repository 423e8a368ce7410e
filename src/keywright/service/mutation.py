"""How every mutation runs: in one transaction, and once for each `request_id` (AIP-155).

1. Begin, with the locks of what creates. 2. Claim the `request_id`: whoever repeats it waits here
until the first is through, on whichever server that runs, and is told what came of it. 3. Lock,
check, write, with the audit event: the use case. 4. Keep the reply for repetitions. 5. Advance the
history, if authority changed. 6. Commit, nothing between 5 and 6 (DESIGN section 5). 7. Wait until
nobody can act on the old state, if the call asks for it; also if nothing was done, as an earlier
call may still be waiting.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.identity import RequestIdentity
from keywright.domain.position import Position
from keywright.service.call import Call, ConfirmedCall, Request, calling
from keywright.storage.authority import Change, Held
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.request_ids import EarlierRequest

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Mutated(Generic[Value]):
    """What a transaction has done: what is told of it, and the rows whose authority changed.

    `seen` is the position that it read: that of what changes nothing.
    """

    value: Value
    seen: Position
    changes: Sequence[Change] = ()


@dataclass(slots=True)
class Committed(Generic[Value]):
    """What was committed, the position of the history at which it is in force, and the wait.

    `moved` says whether the history was moved there by it.
    """

    value: Value
    position: Position
    waited: timedelta = timedelta()
    moved: bool = False


@dataclass(slots=True)
class Replayed(Exception):
    """The call repeats one that was committed: the reply it had, and where the history stands."""

    reply: bytes
    position: Position
    waited: timedelta = timedelta()


Done = TypeVar("Done", bound=Committed[Any] | Replayed | None)


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
        calling=calling(credential),
    )
    return await _once(database, call, confirmed, holding=held)


async def changing(
    database: Database, call: Call, transaction: Callable[[Writes], Awaitable[Mutated[Value]]]
) -> Committed[Value]:
    """Run and commit what changes; `transaction` begins with `Call.lock`.

    Raises:
        Replayed: the call repeats one that was committed.
        ServiceError: REQUEST_ID_REUSED.
        UnsettledError: the deadline ended the wait.
    """
    return await _once(database, call, transaction)


@dataclass(frozen=True, slots=True)
class Repetitions:
    """Tells repetitions that failed before they got to claim their id."""

    database: Database

    async def earlier(self, call: Call) -> Replayed | None:
        """What came of a call when it was first made, if that was committed.

        Asked where it fails the second time: the key is gone that it changed, or other than it was.
        In a transaction, though it only reads: who waits holds none of the connections for reads.

        Raises:
            ServiceError: REQUEST_ID_REUSED.
            UnsettledError: the deadline ended the wait.
        """
        if call.request is None:
            return None
        actor, identity = call.caller.user.internal_id, call.request.identity

        async def steps(writes: Writes) -> Replayed | None:
            earlier = await writes.read.requests.earlier(actor, identity)
            if earlier is None:
                return None
            return await _replayed(writes, identity, earlier, waits=call.waits)

        return await _settled(self.database, call, steps)


async def _once(
    database: Database,
    call: Call,
    transaction: Callable[[Writes], Awaitable[Mutated[Value]]],
    *,
    holding: Held | None = None,
) -> Committed[Value]:
    async def steps(writes: Writes) -> Committed[Value] | Replayed:
        actor = call.caller.user.internal_id
        if replayed := await claim(writes, actor, call.request, waits=call.waits):
            return replayed
        done = await transaction(writes)
        await keep(writes, actor, call.request, done.value)
        if not done.changes:
            # Who creates changes nothing either, and waits for nobody.
            position = await writes.authority.stay() if call.waits else done.seen
            return Committed(done.value, position)
        return Committed(done.value, await writes.authority.advance(done.changes), moved=True)

    done = await _settled(database, call, steps, holding=holding)
    if isinstance(done, Replayed):
        raise done
    return done


async def _settled(
    database: Database,
    call: Call,
    steps: Callable[[Writes], Awaitable[Done]],
    *,
    holding: Held | None = None,
) -> Done:
    """Run and commit `steps`, and wait until nobody acts on what was before, if the call does.

    If it does not, others are told all the same, and this process acts on it by then.
    """
    settling = call.settling
    if settling is None:
        return await database.writing(steps, within=call.remaining(), holding=holding)
    if not call.waits:

        async def tell(reads: Reads, done: Done) -> None:
            if isinstance(done, Committed) and done.moved:
                await settling.tell(reads, done.position)

        done = await database.writing(steps, within=call.remaining(), holding=holding, then=tell)
        if isinstance(done, Committed) and done.moved:
            await settling.apply(done.position)
        return done
    wait = settling.wait(call.remaining)

    async def watch(reads: Reads, done: Done) -> None:
        if done is not None:
            await wait.watch(reads, done.position, database.crowded)

    done = await database.writing(steps, within=call.remaining(), holding=holding, then=watch)
    if done is not None:
        await wait.outlast()
        done.waited = wait.waited
    return done


async def claim(
    writes: Writes, actor: int, request: Request | None, *, waits: bool = False
) -> Replayed | None:
    """Step 2, for a user by its internal id: what came of the request when it was first made.

    Raises:
        ServiceError: REQUEST_ID_REUSED.
    """
    if request is None:
        return None
    earlier = await writes.requests.claim(actor, request.identity)
    if earlier is None:
        return None
    return await _replayed(writes, request.identity, earlier, waits=waits)


async def keep(writes: Writes, actor: int, request: Request | None, value: object) -> None:
    """Step 4: keep what is told of `value` for repetitions."""
    if request is not None:
        reply = request.reply_to_repetitions(value)
        await writes.requests.keep(actor, request.identity, reply)


async def _replayed(
    writes: Writes, identity: RequestIdentity, earlier: EarlierRequest, *, waits: bool
) -> Replayed:
    if earlier.digest != identity.digest:
        raise ServiceError(
            Reason.REQUEST_ID_REUSED,
            "this request_id was used for a request with another content, or with another "
            "credential: use a new one",
        )
    authority, reads = writes.authority, writes.read
    position = authority.stay() if waits else reads.position()
    return Replayed(earlier.reply, await position)
