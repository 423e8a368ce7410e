"""What people do with keys: create, get, list, revoke, delete."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from keywright.domain import creation
from keywright.domain import permissions as p
from keywright.domain.directory import User
from keywright.domain.errors import (
    NotFound,
    Reason,
    ServiceError,
    invalid_field,
    permission_missing,
)
from keywright.domain.identity import mint_id
from keywright.domain.keys import KeyAt, KeyState, expiry
from keywright.domain.names import ID_RULE, KeyName, WorkspaceName, is_id
from keywright.domain.position import Position
from keywright.domain.secret import Secret
from keywright.domain.text import check_display_name, check_labels
from keywright.domain.token import Entropy, TokenFormat
from keywright.security.hash_pool import HashPoolFullError
from keywright.security.token_hasher import TokenHasher
from keywright.service.authenticate import overloaded
from keywright.service.call import Call, check_etag
from keywright.service.key_requests import KeyQuery, KeySpec
from keywright.service.visibility import (
    is_named,
    key_owner,
    visible_key,
    visible_role,
    visible_user,
)
from keywright.storage.authority import Change, ChangeKind
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.keys import KeyFilter, NewKey

# A token's environment is known once the workspace has been read; its secret is hashed before.
_UNDECIDED = "live"


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its token, which is shown this once (promise G9)."""

    key: KeyAt
    token: Secret[str]
    position: Position


@dataclass(frozen=True, slots=True)
class ChangedKey:
    """A key after a change, and the position of the change."""

    key: KeyAt
    position: Position


@dataclass(frozen=True, slots=True)
class Keys:
    """The use cases of keys."""

    database: Database
    hasher: TokenHasher
    token_format: TokenFormat
    entropy: Entropy

    async def create(self, call: Call, parent: WorkspaceName, spec: KeySpec) -> CreatedKey:
        """Create a key for the caller, or for another user as far as the caller may.

        1. Check what needs no database. 2. Mint and hash the secret, outside the transaction:
        Argon2 takes longer than all of it. 3. In the transaction: check the caller again, and the
        rest. 4. Insert key, secret and audit event. It takes nothing away: no revision, no wait.
        """
        call.in_workspace(parent.workspace, parent)
        if not call.caller.may(p.KEYS_ANY):
            call.require(p.KEYS_OWN)
        _check_form(spec)
        token = self.token_format.mint(_UNDECIDED, self.entropy)
        key_id = spec.key_id or mint_id(self.entropy)
        try:
            hashed = await self.hasher.hash(token.secret)
        except HashPoolFullError as error:
            raise overloaded() from error

        async def transaction(writes: Writes) -> CreatedKey:
            confirmed = await call.hold(writes)
            seen_by = confirmed.caller
            workspace = await writes.read.workspaces.get(parent.workspace)
            if workspace is None:
                raise NotFound(str(parent))
            owner = await key_owner(writes.read, confirmed, spec.user)
            creation.check_owner(owner)
            environment = creation.check_environment(workspace, spec.environment)
            narrowing = spec.narrowing
            if spec.role is not None:
                role = await visible_role(writes.read, confirmed, spec.role)
                narrowing = replace(narrowing, role=role)
            expire_time = expiry(
                workspace.key_policy,
                seen_by.decided_at,
                ttl=spec.ttl,
                expire_time=spec.expire_time,
                never=spec.never_expires,
            )
            grants = await writes.read.users.grants(owner.internal_id)
            creation.check_creation(seen_by, owner, grants, narrowing, expire_time)
            await _check_count(writes, workspace.key_policy.max_keys_per_user, owner)
            await writes.keys.insert(
                NewKey(
                    key_id=key_id,
                    owner=owner,
                    creator=seen_by.user,
                    creator_credential=str(seen_by.credential.key.name),
                    display_name=spec.display_name,
                    environment=environment,
                    narrowing=narrowing,
                    labels=spec.labels,
                    rate_limit=spec.rate_limit,
                    expire_time=expire_time,
                    prefix=token.prefix,
                    hashed=hashed,
                )
            )
            created = await writes.read.keys.get(parent.workspace, key_id)
            assert created is not None, "inserted above, in the same transaction"  # noqa: S101
            await writes.audit.insert(
                confirmed.event("CreateKey", created.key.name, after=_described(created))
            )
            shown = self.token_format.render(replace(token, environment=environment))
            return CreatedKey(created, shown, await writes.authority.position())

        return await self.database.writing(transaction, within=call.remaining())

    async def get(self, call: Call, name: KeyName) -> KeyAt:
        """One key: the caller's own, or any for who may see all."""
        async with self.database.reading() as reads:
            return await visible_key(reads, call, name)

    async def list(
        self, call: Call, parent: WorkspaceName, query: KeyQuery, *, after: int | None, limit: int
    ) -> Sequence[KeyAt]:
        """Keys, newest first: the caller's own, or everybody's for who may see all."""
        call.in_workspace(parent.workspace, parent)
        async with self.database.reading() as reads:
            only = await _filter(reads, call, query)
            return await reads.keys.list(parent.workspace, only, after=after, limit=limit)

    async def revoke(self, call: Call, name: KeyName, *, etag: str = "") -> ChangedKey:
        """Revoke a key, for good. Revoking it again changes nothing and is no error."""

        async def write(writes: Writes, confirmed: Call, found: KeyAt) -> Sequence[Change]:
            if found.key.stored_state is KeyState.REVOKED:
                return []
            await writes.keys.revoke(found.key.internal_id)
            await writes.audit.insert(
                confirmed.event(
                    "RevokeKey", name, before={"state": found.state}, after={"state": "REVOKED"}
                )
            )
            return [Change(ChangeKind.KEY, found.key.internal_id)]

        return await self._narrow(call, name, etag, write)

    async def delete(self, call: Call, name: KeyName, *, etag: str = "") -> ChangedKey:
        """Delete a key with its record; one that still stands is dead with it."""

        async def write(writes: Writes, confirmed: Call, found: KeyAt) -> Sequence[Change]:
            await writes.keys.delete(found.key.internal_id)
            await writes.audit.insert(confirmed.event("DeleteKey", name, before=_described(found)))
            return [Change(ChangeKind.KEY, found.key.internal_id)]

        return await self._narrow(call, name, etag, write)

    async def _narrow(
        self,
        call: Call,
        name: KeyName,
        etag: str,
        write: Callable[[Writes, Call, KeyAt], Awaitable[Sequence[Change]]],
    ) -> ChangedKey:
        """The narrowing transaction of one key (DESIGN section 5).

        1. Find the key. 2. Lock what the decision rests on, in `LOCK_ORDER`. 3. Check the caller,
        and read the key, again. 4. Write, with the audit event. 5. Advance the history. 6. Commit.
        """

        async def transaction(writes: Writes) -> ChangedKey:
            found = await visible_key(writes.read, call, name)
            caller = call.caller.credential
            await writes.authority.lock(
                users=[caller.user.internal_id],
                keys=[caller.key.internal_id, found.key.internal_id],
            )
            confirmed = await call.confirm(writes)
            found = await visible_key(writes.read, confirmed, name)
            check_etag(etag, found.key.version)
            changes = await write(writes, confirmed, found)
            after = await writes.read.keys.get(name.workspace, name.key) or found
            # Nothing left to narrow: an earlier caller may still be waiting for this position.
            position = (
                await writes.authority.advance(changes)
                if changes
                else await writes.authority.position()
            )
            return ChangedKey(after, position)

        return await self.database.writing(transaction, within=call.remaining())


def _check_form(spec: KeySpec) -> None:
    if spec.key_id and not is_id(spec.key_id):
        raise invalid_field("key_id", f"must be {ID_RULE}")
    check_display_name(spec.display_name, "key.display_name")
    check_labels(spec.labels, "key.labels")
    creation.check_form(spec.narrowing)


async def _check_count(writes: Writes, most: int | None, owner: User) -> None:
    if most is None:
        return
    # One after the other: creations at the same time would all count the same keys. (Two that
    # hold their callers already may have to be told apart by the database, and one runs again.)
    await writes.authority.lock(users=[owner.internal_id])
    if await writes.read.keys.count_live(owner.internal_id) >= most:
        raise ServiceError(
            Reason.POLICY_KEY_LIMIT_REACHED,
            f"{owner.name} has {most} keys already, which is all that the workspace allows",
        )


async def _filter(reads: Reads, call: Call, query: KeyQuery) -> KeyFilter:
    me = call.caller.user
    if call.caller.may(p.KEYS_ANY):
        owner = None if query.user is None else await visible_user(reads, call, query.user)
    elif query.user is None or is_named(me, query.user):
        call.require(p.KEYS_OWN)
        owner = me
    else:
        raise permission_missing(p.KEYS_ANY)
    creator = None if query.creator is None else await visible_user(reads, call, query.creator)
    if query.role is not None:
        await visible_role(reads, call, query.role)
    return KeyFilter(
        states=query.states or frozenset({KeyState.ACTIVE}),
        owner=None if owner is None else owner.internal_id,
        creator_user_id="" if creator is None else creator.user_id,
        resource=query.resource,
        role_id="" if query.role is None else query.role.role,
        environment=query.environment,
        labels=query.labels,
        expires_before=query.expires_before,
        unrotated_since=query.unrotated_since,
        search=query.search,
    )


def _described(found: KeyAt) -> dict[str, object]:
    """A key as the audit trail keeps it."""
    key = found.key
    return {
        "user": key.owner.user_id,
        "display_name": key.display_name,
        "state": found.state,
        "prefix": key.prefix,
        "environment": key.environment,
        "role": None if key.narrowing.role is None else key.narrowing.role.role_id,
        "scopes": key.narrowing.scopes,
        "resource": key.narrowing.resource,
        "allowed_networks": [str(network) for network in key.narrowing.allowed_networks],
        "labels": key.labels,
        "expire_time": None if key.expire_time is None else key.expire_time.isoformat(),
    }
