"""New keys: create one, or ensure that there is one."""

from dataclasses import dataclass, replace

from keywright.domain import creation
from keywright.domain import permissions as p
from keywright.domain.access import covers_key
from keywright.domain.directory import User, Workspace
from keywright.domain.errors import NotFound, Reason, ServiceError, already_exists, invalid_field
from keywright.domain.identity import mint_id
from keywright.domain.keys import Key, KeyAt, KeyState, Narrowing
from keywright.domain.names import ID_RULE, KeyName, WorkspaceName, is_id
from keywright.domain.permissions import check_known
from keywright.domain.policy import expiry
from keywright.domain.secret import HashedSecret, Secret
from keywright.domain.text import check_display_name, check_labels
from keywright.domain.token import TokenFormat
from keywright.service.call import Call, ConfirmedCall
from keywright.service.key_records import described
from keywright.service.key_requests import KeySpec
from keywright.service.minting import Mint, MintedSecret
from keywright.service.mutation import Committed, Mutated, creating
from keywright.service.visibility import Directory, key_owner, visible_role
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.key_changes import NewKey

# In EnsureKey a key that is over for good is as good as none, but its id is taken.
_OVER = frozenset({KeyState.REVOKED, KeyState.EXPIRED})
# What a creation fails with when another call has just made the same key.
_MADE_MEANWHILE = {Reason.RESOURCE_ALREADY_EXISTS, Reason.POLICY_KEY_LIMIT_REACHED}


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key with its token, which is shown this once (promise G9); None: it was there already."""

    key: KeyAt
    token: Secret[str] | None


@dataclass(frozen=True, slots=True)
class KeyCreation:
    """Creates keys."""

    database: Database
    mint: Mint
    token_format: TokenFormat

    async def create(self, call: Call, parent: WorkspaceName, spec: KeySpec) -> Committed[ShownKey]:
        """Create a key for the caller, or for another user as far as the caller may.

        1. Check what needs no database. 2. Mint and hash the secret, outside the transaction:
        Argon2 takes longer than all of it. 3. In the transaction: check the caller again, and the
        rest. 4. Insert key, secret and audit event. It takes nothing away: no revision, no wait.
        """
        self._check(call, parent, spec)
        minted = await self.mint.secret()
        numbered = replace(spec, key_id=spec.key_id or mint_id(self.mint.entropy))

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[ShownKey]:
            return await self._create(writes, confirmed, numbered, minted)

        return await creating(self.database, call, transaction)

    async def ensure(self, call: Call, parent: WorkspaceName, spec: KeySpec) -> Committed[ShownKey]:
        """Create a key unless there is one of that id: then return it, without a token.

        Of calls at the same time one creates it, and the others find it.

        Raises:
            ServiceError: RESOURCE_ALREADY_EXISTS: it has other attributes, or is over.
        """
        self._check(call, parent, spec)
        async with self.database.reading() as reads:
            there = await self._existing(reads, call, parent, spec)
            if there is not None and call.request is None:
                return Committed(ShownKey(there, None), await reads.position())
        made_meanwhile = None
        if there is None:
            try:
                return await self.create(call, parent, spec)
            except ServiceError as error:
                if error.reason not in _MADE_MEANWHILE:
                    raise
                made_meanwhile = error

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[ShownKey]:
            found = await self._existing(writes.read, confirmed, parent, spec)
            if found is None:  # deleted again
                raise made_meanwhile or NotFound(str(KeyName(parent.workspace, spec.key_id)))
            return Mutated(ShownKey(found, None), confirmed.position)

        return await creating(self.database, call, transaction)

    def _check(self, call: Call, parent: WorkspaceName, spec: KeySpec) -> None:
        call.in_workspace(parent.workspace, parent)
        if not call.caller.may(p.KEYS_ANY) and not call.caller.resources_with(p.KEYS_BOUND):
            call.require(p.KEYS_OWN)
        check_form(spec)

    async def _create(
        self, writes: Writes, call: ConfirmedCall, spec: KeySpec, minted: MintedSecret
    ) -> Mutated[ShownKey]:
        new = await new_key(writes.read, call, spec, minted.prefix, minted.hashed)
        await check_count(writes, call.workspace, new.owner)
        event = call.event(
            "CreateKey", new.key.name, after=described(new.key, call.caller.decided_at)
        )
        created = await writes.keys.insert(new, event)
        token = self.token_format.render(minted.token(new.environment))
        return Mutated(ShownKey(created, token), call.position)

    async def _existing(
        self, reads: Reads, call: Call, parent: WorkspaceName, spec: KeySpec
    ) -> KeyAt | None:
        """The key of that id, if there is one, and if it is the one that is asked for."""
        name = KeyName(parent.workspace, spec.key_id)
        found = await reads.keys.get(name.workspace, name.key)
        if found is None:
            return None
        owner = await key_owner(reads, call, spec.user)
        if not covers_key(call.caller, found.key):
            raise already_exists("key_id", "a key with this id exists already")
        if found.state in _OVER:
            raise already_exists("key_id", f"{name} exists, and is {found.state.lower()}")
        differs = _differences(found.key, spec, owner.user)
        if differs:
            raise already_exists(
                "key_id", f"{name} exists with another {', '.join(differs)}", differs=differs
            )
        return found


async def new_key(
    reads: Directory, call: ConfirmedCall, spec: KeySpec, prefix: str, hashed: HashedSecret
) -> NewKey:
    """The key that a request asks for, if the caller may create it.

    Raises:
        ServiceError: it may not, or there can be no such key.
    """
    workspace = call.workspace
    owner = await key_owner(reads, call, spec.user)
    creation.check_permission(call.caller, owner.user, spec.resource, workspace.key_policy)
    creation.check_owner(owner.user)
    environment = creation.check_environment(workspace, spec.environment)
    check_known(spec.scopes, workspace.permission_catalog, "key.scopes")
    narrowing = await narrowing_of(reads, call, spec)
    expire_time = expiry(
        workspace.key_policy,
        call.caller.decided_at,
        ttl=spec.ttl,
        expire_time=spec.expire_time,
        never=spec.never_expires,
    )
    creation.check_within(call.caller, owner, narrowing, expire_time)
    return NewKey(
        key_id=spec.key_id,
        owner=owner.user,
        creator=call.caller.user,
        creator_credential=str(call.caller.credential.record.name),
        display_name=spec.display_name,
        environment=environment,
        narrowing=narrowing,
        labels=spec.labels,
        rate_limit=spec.rate_limit,
        expire_time=expire_time,
        prefix=prefix,
        hashed=hashed,
        create_time=call.caller.decided_at,
    )


async def check_count(writes: Writes, workspace: Workspace, owner: User) -> None:
    """One more key that stands is not more than the policy allows this user.

    Raises:
        ServiceError: POLICY_KEY_LIMIT_REACHED.
    """
    most = workspace.key_policy.max_keys_per_user
    if most is None:
        return
    # One after the other: creations at the same time would all count the same keys.
    await writes.authority.count_alone(owner.internal_id)
    if (await writes.read.keys.count_live(owner.internal_id)).total() >= most:
        raise limit_reached(owner, most)


def limit_reached(owner: User, most: int) -> ServiceError:
    """The refusal of one more key than the policy allows."""
    return ServiceError(
        Reason.POLICY_KEY_LIMIT_REACHED,
        f"{owner.name} has {most} keys already, which is all that the workspace allows",
        details={"limit": str(most)},
    )


async def narrowing_of(reads: Directory, call: Call, spec: KeySpec) -> Narrowing:
    """What a request takes away from a key, its role found by name."""
    role = None if spec.role is None else await visible_role(reads, call, spec.role)
    return replace(spec.narrowing, role=role)


def check_form(spec: KeySpec) -> None:
    """What needs no database to be told wrong."""
    if spec.key_id and not is_id(spec.key_id):
        raise invalid_field("key_id", f"must be {ID_RULE}")
    check_display_name(spec.display_name, "key.display_name")
    check_labels(spec.labels, "key.labels")
    creation.check_form(spec.narrowing)


def _differences(key: Key, spec: KeySpec, owner: User) -> list[str]:
    """The attributes in which a key is not what a request asks for.

    Its expiry may differ; and its environment, where none is asked for: the default may be another
    by now.
    """
    narrowing = key.narrowing
    pairs: dict[str, tuple[object, object]] = {
        "user": (key.owner_internal_id, owner.internal_id),
        "display_name": (key.display_name, spec.display_name),
        "role": (
            None if narrowing.role is None else narrowing.role.role_id,
            None if spec.role is None else spec.role.role,
        ),
        "scopes": (set(narrowing.scopes), set(spec.scopes)),
        "resource": (narrowing.resource, spec.resource),
        "environment": (key.environment, spec.environment or key.environment),
        "labels": (dict(key.labels), dict(spec.labels)),
        "allowed_networks": (set(narrowing.allowed_networks), set(spec.allowed_networks)),
        "rate_limit": (key.rate_limit, spec.rate_limit),
    }
    return [attribute for attribute, (has, wanted) in pairs.items() if has != wanted]
