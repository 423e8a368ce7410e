"""The transaction of an import: what each item asks is looked up, checked and inserted at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from keywright.domain.directory import Owner, RoleRecord
from keywright.domain.errors import ServiceError, already_exists, invalid_field
from keywright.domain.imported import TokenShape
from keywright.domain.keys import KeyAt
from keywright.domain.secret import HashedSecret
from keywright.domain.text import normalise_email
from keywright.service.call import ConfirmedCall
from keywright.service.key_creation import limit_reached, new_key
from keywright.service.key_records import described
from keywright.service.key_requests import KeySpec
from keywright.service.pauses import with_pauses
from keywright.storage.database import Reads, Writes
from keywright.storage.key_import import NewImported


@dataclass(frozen=True, slots=True)
class CheckedItem:
    """A key to be taken over: well-formed, with the hash as it will be stored.

    `digest` is what its tokens are found by, unless that is `prefix`.
    """

    spec: KeySpec
    hashed: str
    prefix: str
    digest: bytes | None
    create_time: datetime | None


Outcome = NewImported | ServiceError


@dataclass(frozen=True, slots=True)
class Import:
    """The import of keys of one shape, for a call as the transaction confirmed it."""

    writes: Writes
    call: ConfirmedCall
    shape: TokenShape

    async def run(self, items: Sequence[CheckedItem | ServiceError]) -> list[KeyAt | ServiceError]:
        """What becomes of each item.

        1. Read the users and roles that are named. 2. Check each item as a creation would be.
        3. Leave out what is there already, and what is too much. 4. Insert keys, secrets and audit
        events.
        """
        specs = [item.spec for item in items if isinstance(item, CheckedItem)]
        named = await _Named.read(self.writes.read, self.call.caller.workspace_id, specs)
        outcomes = [await self._new(named, item) async for item in with_pauses(items)]
        if not _left(outcomes):
            return [each for each in outcomes if isinstance(each, ServiceError)]
        workspace = self.call.caller.credential.workspace_internal_id
        format_id = await self.writes.token_formats.register(workspace, self.shape)
        outcomes = await self._without_taken(workspace, outcomes)
        outcomes = await self._within_limit(outcomes)
        inserted = await self._insert(format_id, _left(outcomes))
        return [
            each if isinstance(each, ServiceError) else inserted.get(each.key.key_id, _TAKEN_NOW)
            for each in outcomes
        ]

    async def _new(self, named: "_Named", item: CheckedItem | ServiceError) -> Outcome:
        if isinstance(item, ServiceError):
            return item
        now = self.call.caller.decided_at
        try:
            if item.create_time is not None and item.create_time > now:
                raise invalid_field("original_create_time", "must be in the past")
            hashed = HashedSecret(None, item.hashed, None)
            new = await new_key(named, self.call, item.spec, item.prefix, hashed)
        except ServiceError as error:
            return error
        return NewImported(replace(new, create_time=item.create_time or now), item.digest)

    async def _without_taken(self, workspace: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Leave out what is there already, also what is twice among these."""
        left = _left(outcomes)
        imports = self.writes.imports
        ids = await imports.taken_ids(workspace, [each.key.key_id for each in left])
        places = await imports.taken_places(workspace, [each.place for each in left])

        def checked(outcome: Outcome) -> Outcome:
            if isinstance(outcome, ServiceError):
                return outcome
            if outcome.key.key_id in ids:
                return already_exists("key_id", "a key with this id exists already")
            if outcome.place in places:
                what = "prefix" if outcome.digest is None else "hash"
                return already_exists(what, f"a key with this {what} was imported already")
            ids.add(outcome.key.key_id)
            places.add(outcome.place)
            return outcome

        return [checked(outcome) for outcome in outcomes]

    async def _within_limit(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Leave out what is more keys than the policy allows their users."""
        most = self.call.workspace.key_policy.max_keys_per_user
        if most is None:
            return outcomes
        owners = {each.key.owner.internal_id for each in _left(outcomes)}
        await self.writes.authority.count_alone(*owners)
        count = await self.writes.read.keys.count_live(*owners)

        def checked(outcome: Outcome) -> Outcome:
            if isinstance(outcome, ServiceError):
                return outcome
            owner = outcome.key.owner
            if count[owner.internal_id] >= most:
                return limit_reached(owner, most)
            count[owner.internal_id] += 1
            return outcome

        return [checked(outcome) for outcome in outcomes]

    async def _insert(self, format_id: int, new: Sequence[NewImported]) -> dict[str, KeyAt]:
        """Insert these; returns those that no other transaction has made meanwhile, by id."""
        if not new:
            return {}
        now = self.call.caller.decided_at
        inserted = await self.writes.imports.insert(format_id, new, now=now)
        keys = {
            key.key_id: replace(key, internal_id=inserted[key.key_id], update_time=now)
            for key in (each.key.key for each in new)
            if key.key_id in inserted
        }
        await self.writes.audit.insert_all(
            [
                self.call.event("ImportKey", key.name, after=described(key, now))
                async for key in with_pauses(keys.values())
            ]
        )
        return {key_id: KeyAt(key, now) for key_id, key in keys.items()}


_TAKEN_NOW = already_exists("key_id", "another call has just imported this key")


def _left(outcomes: Sequence[Outcome]) -> list[NewImported]:
    return [each for each in outcomes if isinstance(each, NewImported)]


@dataclass(frozen=True, slots=True)
class _Named:
    """The users and roles that items name, read at once: a `Directory`."""

    owners: Mapping[str, Owner]
    records: Mapping[str, RoleRecord]

    @classmethod
    async def read(cls, reads: Reads, workspace_id: str, specs: Sequence[KeySpec]) -> Self:
        users = {spec.user.user for spec in specs if spec.user is not None}
        roles = {spec.role.role for spec in specs if spec.role is not None}
        found = await reads.roles.records(workspace_id, list(roles)) if roles else ()
        return cls(
            await reads.users.owners(workspace_id, users) if users else {},
            {record.role.role_id: record for record in found},
        )

    @property
    def users(self) -> Self:
        return self

    @property
    def roles(self) -> Self:
        return self

    async def owner(self, _workspace_id: str, user: str) -> Owner | None:
        return self.owners.get(normalise_email(user) if "@" in user else user)

    async def record(self, _workspace_id: str, role_id: str) -> RoleRecord | None:
        return self.records.get(role_id)
