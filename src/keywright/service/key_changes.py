"""Changes of keys: update, rotate, disable, enable, revoke, delete, and revoke many."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from keywright.domain import access, creation
from keywright.domain import permissions as p
from keywright.domain.audit import duration_value
from keywright.domain.authority import authority_of
from keywright.domain.dependency import ChangeKind
from keywright.domain.errors import NotFound, Reason, ServiceError, permission_missing
from keywright.domain.keys import Key, KeyAt, KeyState
from keywright.domain.names import KeyName, WorkspaceName
from keywright.domain.token import TokenFormat
from keywright.service.call import Call, ConfirmedCall, altered, check_etag
from keywright.service.key_creation import ShownKey, check_form
from keywright.service.key_records import changeable, described
from keywright.service.key_requests import KeyQuery, KeyUpdate
from keywright.service.key_update import check_update, updated
from keywright.service.minting import Mint
from keywright.service.mutation import Committed, Mutated, changing
from keywright.service.visibility import key_filter, owner_of, visible_key
from keywright.storage.authority import Change
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.keys import KeyFilter

_REVOCABLE = frozenset(KeyState) - {KeyState.REVOKED}

Write = Callable[[Writes, ConfirmedCall, KeyAt], Awaitable[bool]]
Told = TypeVar("Told")


def _as_it_is(after: KeyAt) -> KeyAt:
    return after


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Changes keys."""

    database: Database
    mint: Mint
    token_format: TokenFormat

    async def update(
        self, call: Call, name: KeyName, update: KeyUpdate, *, etag: str = ""
    ) -> Committed[KeyAt]:
        """Change what is told of a key, or what it may do.

        What would widen it is allowed as far as a creation would be; anything else to whoever
        may see it.
        """
        check_form(replace(update.values, key_id=""))

        async def write(writes: Writes, confirmed: ConfirmedCall, found: KeyAt) -> bool:
            refuse_in(found, KeyState.REVOKED)
            changed = await updated(writes.read, confirmed, found.key, update)
            if changed == found.key:
                return False
            await check_update(writes, confirmed, found, changed)
            await writes.keys.update(changed)
            change = altered(changeable(found.key), changeable(changed))
            await writes.audit.insert(confirmed.event("UpdateKey", name, **change))
            return bool(change["after"])

        return await self._change(call, name, etag, write, _as_it_is)

    async def rotate(
        self, call: Call, name: KeyName, *, grace: timedelta, etag: str = ""
    ) -> Committed[ShownKey]:
        """Give a key a new secret; the old token stands for `grace`, never longer than the key.

        Of calls at the same time one wins: whoever finds another secret than it came for has lost.

        Raises:
            ServiceError: CONCURRENT_UPDATE: another rotation was faster.
        """
        async with self.database.reading() as reads:
            came_for = (await visible_key(reads, call, name)).key.prefix
        minted = await self.mint.secret()

        def shown(after: KeyAt) -> ShownKey:
            return ShownKey(after, self.token_format.render(minted.token(after.key.environment)))

        async def write(writes: Writes, confirmed: ConfirmedCall, found: KeyAt) -> bool:
            if found.key.prefix != came_for:
                raise ServiceError(
                    Reason.CONCURRENT_UPDATE, f"another call has just rotated {name}"
                )
            refuse_in(found, KeyState.REVOKED, KeyState.EXPIRED)
            owner = await owner_of(writes.read, found.key)
            if not access.may_act_as(confirmed.caller, owner.user):
                raise permission_missing(p.KEYS_ANY)
            creation.check_owner(owner.user)
            creation.check_within(
                confirmed.caller, owner, found.key.narrowing, found.key.expire_time
            )
            await writes.keys.rotate(
                found.key.internal_id, minted.prefix, minted.hashed, grace=grace
            )
            await writes.audit.insert(
                confirmed.event(
                    "RotateKey",
                    name,
                    before={"prefix": found.key.prefix},
                    after={"prefix": minted.prefix, "grace": duration_value(grace)},
                )
            )
            return True

        return await self._change(call, name, etag, write, shown)

    async def disable(self, call: Call, name: KeyName, *, etag: str = "") -> Committed[KeyAt]:
        """Disable a key until it is enabled again."""
        return await self._set_state(call, name, etag, "DisableKey", KeyState.DISABLED)

    async def enable(self, call: Call, name: KeyName, *, etag: str = "") -> Committed[KeyAt]:
        """Enable a key again; who does must have all that it may do."""
        return await self._set_state(call, name, etag, "EnableKey", KeyState.ACTIVE)

    async def revoke(self, call: Call, name: KeyName, *, etag: str = "") -> Committed[KeyAt]:
        """Revoke a key, for good. Revoking it again changes nothing and is no error."""
        return await self._set_state(call, name, etag, "RevokeKey", KeyState.REVOKED)

    async def delete(self, call: Call, name: KeyName, *, etag: str = "") -> Committed[KeyAt]:
        """Delete a key with its record; one that still stands is dead with it."""

        async def write(writes: Writes, confirmed: ConfirmedCall, found: KeyAt) -> bool:
            await writes.keys.delete(found.key.internal_id)
            before = described(found.key, found.now)
            await writes.audit.insert(confirmed.event("DeleteKey", name, before=before))
            return True

        return await self._change(call, name, etag, write, _as_it_is)

    async def revoke_many(
        self, call: Call, parent: WorkspaceName, query: KeyQuery, *, validate_only: bool
    ) -> Committed[int]:
        """Revoke every key that matches and that the caller's permissions cover, in one revision.

        The calling key is among them, if it matches.
        """
        call.in_workspace(parent.workspace, parent)
        if validate_only:
            async with self.database.reading() as reads:
                only = await _revocable(reads, call, query)
                count = 0 if only is None else await reads.keys.count(parent.workspace, only)
                return Committed(count, await reads.position())

        async def transaction(writes: Writes) -> Mutated[int]:
            # The workspace is locked instead of each key: there can be any number of them.
            workspace = call.caller.credential.workspace_internal_id
            confirmed = await call.lock(writes, workspaces=[workspace])
            only = await _revocable(writes.read, confirmed, query)
            keys = {} if only is None else await writes.keys.lock(parent.workspace, only)
            if not keys:
                return Mutated(0, confirmed.position)
            await writes.keys.set_state(list(keys), KeyState.REVOKED)
            names = [str(KeyName(parent.workspace, key_id)) for key_id in keys.values()]
            await writes.audit.insert_each(
                confirmed.event("RevokeKey", "", after={"state": KeyState.REVOKED}), names
            )
            changes = [Change(ChangeKind.KEY, key) for key in keys]
            return Mutated(len(keys), confirmed.position, changes)

        return await changing(self.database, call, transaction)

    async def _set_state(
        self, call: Call, name: KeyName, etag: str, action: str, state: KeyState
    ) -> Committed[KeyAt]:
        async def write(writes: Writes, confirmed: ConfirmedCall, found: KeyAt) -> bool:
            if found.key.stored_state is state:
                return False
            refuse_in(found, KeyState.REVOKED)
            if state is KeyState.ACTIVE:
                await _check_enabling(writes.read, confirmed, found.key)
            await writes.keys.set_state([found.key.internal_id], state)
            await writes.audit.insert(
                confirmed.event(
                    action,
                    name,
                    before={"state": found.key.stored_state},
                    after={"state": state},
                )
            )
            return True

        return await self._change(call, name, etag, write, _as_it_is)

    async def _change(
        self,
        call: Call,
        name: KeyName,
        etag: str,
        write: Write,
        told: Callable[[KeyAt], Told],
    ) -> Committed[Told]:
        """The transaction that changes one key (DESIGN section 5).

        1. Find the key. 2. Lock what the decision rests on, in `LOCK_ORDER`. 3. Check the caller,
        and read the key, again. 4. Write, with the audit event; `write` says whether authority
        changed. `mutation` goes on from there.
        """

        async def transaction(writes: Writes) -> Mutated[Told]:
            found = await visible_key(writes.read, call, name)
            key = found.key.internal_id
            confirmed = await call.lock(writes, keys=[key])
            found = await visible_key(writes.read, confirmed, name)
            if found.key.internal_id != key:  # deleted meanwhile, and made anew
                raise NotFound(str(name))
            check_etag(etag, found.key)
            moved = await write(writes, confirmed, found)
            after = await writes.read.keys.get(name.workspace, name.key) or found
            changes = [Change(ChangeKind.KEY, key)] if moved else []
            return Mutated(told(after), confirmed.position, changes)

        return await changing(self.database, call, transaction)


def refuse_in(found: KeyAt, *states: KeyState) -> None:
    """Raise STATE_CONFLICT if the key is in one of these states."""
    if found.state in states or found.key.stored_state in states:
        state = found.state
        raise ServiceError(
            Reason.STATE_CONFLICT,
            f"{found.key.name} is {state.lower()}"
            + (", for good" if state is KeyState.REVOKED else ""),
            details={"state": state},
        )


async def _check_enabling(reads: Reads, call: Call, key: Key) -> None:
    """Who enables a key has all that it may do; it gets no token, so it need not be its owner."""
    owner = await owner_of(reads, key)
    creation.check_authority(call.caller, authority_of(owner, key.narrowing), "name")


async def _revocable(reads: Reads, call: Call, query: KeyQuery) -> KeyFilter | None:
    """The keys that a query means and that are not revoked; None if it means revoked ones only."""
    only = await key_filter(reads, call, query, usual=_REVOCABLE)
    states = only.states & _REVOCABLE
    return replace(only, states=states) if states else None
