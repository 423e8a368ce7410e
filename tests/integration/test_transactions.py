"""What holds when calls meet: callers are checked again, an admin remains, history has no gaps.

Who waits for whom is provoked with locks that the test holds, so that nothing depends on luck.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import grpc
import pytest

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.errors import Denied, Reason, ServiceError
from keywright.domain.names import KeyName, UserName, WorkspaceName
from keywright.domain.position import Position
from keywright.service.call import Call
from keywright.service.key_requests import KeySpec
from keywright.service.user_requests import UserSpec
from keywright.v1 import key_pb2
from keywright.wire.rpc import Services
from keywright.wire.sealing import Seal
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, Service, refusal
from tests.support.waiting import all_sealed


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def key_id(name: str) -> str:
    return name.rpartition("/")[2]


async def blocked(service: Service, calls: int) -> None:
    """Wait until so many of the server's transactions wait for a lock."""
    async with service.connection() as connection, asyncio.timeout(20):
        while True:
            waiting = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'keywright' AND wait_event_type = 'Lock'"
            )
            if waiting >= calls:
                return
            await asyncio.sleep(0.01)  # a lock that is waited for announces itself to nobody


@asynccontextmanager
async def held_up(service: Service, statement: str, calls: int) -> AsyncIterator[None]:
    """Hold a lock until `calls`, begun in the block, wait; what the statement did is committed."""
    async with service.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statement)
        try:
            yield
            await blocked(service, calls)
        finally:
            await transaction.commit()


@asynccontextmanager
async def held_up_at_their_events(service: Service, calls: int) -> AsyncIterator[None]:
    """`held_up` as late as can be: at the audit event, or a lock that another one of them holds."""
    await all_sealed(service)  # else the sealer waits as well, and is counted as one of them
    async with held_up(service, "LOCK TABLE keywright.audit_event IN SHARE MODE", calls):
        yield


# What every change of authority does, besides.
MOVE_ON = "UPDATE keywright.authority_revision SET revision = revision + 1, tag = gen_random_uuid()"

# --- the caller is checked again under the locks ------------------------------------------------


async def a_caller_that_falls_meanwhile(service: Service) -> None:
    """A call that was let in does nothing if its key is revoked before its transaction begins."""
    created = await service.admin.create_key()
    victim = await service.admin.create_key()
    caller = service.as_caller(created.token)
    revoke = (
        "UPDATE keywright.key SET state = 'REVOKED', revoke_time = now() "
        f"WHERE key_id = '{key_id(created.key.name)}';" + MOVE_ON
    )
    async with held_up(service, revoke, calls=1):
        call = asyncio.create_task(refusal(caller.revoke_key(victim.key.name)))
    error = await call
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason == "CALLER_CREDENTIAL_INVALID"
    assert error.info.metadata["caller_reason"] == "KEY_REVOKED"
    await service.admin.authenticate(victim.token)


async def test_a_caller_that_is_revoked_between_check_and_transaction_is_refused(
    service: Service,
) -> None:
    await a_caller_that_falls_meanwhile(service)


async def test_an_admin_that_is_demoted_between_check_and_transaction_disables_nobody(
    service: Service,
) -> None:
    demoted = await service.person("demoted", "admin")
    await service.admin.create_user("target")
    demote = (
        "UPDATE keywright.user u SET role = r.id, role_scope = r.scope FROM keywright.role r "
        "WHERE u.user_id = 'demoted' AND r.role_id = 'member';" + MOVE_ON
    )
    async with held_up(service, demote, calls=1):
        call = asyncio.create_task(refusal(demoted.disable_user(user("target"))))
    assert (await call).reason == "CALLER_PERMISSION_MISSING"
    assert (await service.admin.get_user(user("target"))).state == 1


async def gives_by_what_was_just_taken(service: Service) -> None:
    """What gives waits for what takes, also where that is of the workspace: a role, the policy."""
    await service.admin.do(
        "CreateRole",
        parent=PARENT,
        role_id="helpdesk",
        role={"permissions": ["keys.*", "labels.*"], "may_hold_keys": True},
    )
    helpdesk = await service.person("helpdesk", "helpdesk")
    await service.admin.create_user("helped", "labeler")
    theirs = (await service.admin.create_key(user=user("helped"))).key.name
    (row,) = await service.sql("SELECT id FROM keywright.workspace WHERE workspace_id = 'default'")
    take = (  # as UpdateRole does
        f"SELECT pg_advisory_xact_lock({1 << 56 | row[0]});"
        "UPDATE keywright.role SET permissions = '{labels.*}' WHERE role_id = 'helpdesk';" + MOVE_ON
    )
    try:
        async with held_up(service, take, calls=2):
            calls = [
                asyncio.create_task(refusal(helpdesk.do("RotateKey", name=theirs))),
                asyncio.create_task(refusal(helpdesk.create_key(user=user("helped")))),
            ]
        for refused in await asyncio.gather(*calls):
            assert refused.code is grpc.StatusCode.NOT_FOUND or (
                refused.reason == "CALLER_PERMISSION_MISSING"
            )
    finally:
        await service.admin.delete_key(theirs)


async def test_nothing_is_given_by_a_role_that_was_taken_from(service: Service) -> None:
    await gives_by_what_was_just_taken(service)


async def test_a_key_that_changes_owner_s_sight_meanwhile_is_not_found(service: Service) -> None:
    member = await service.person("shrinking")
    created = await member.create_key()
    delete = f"DELETE FROM keywright.key WHERE key_id = '{key_id(created.key.name)}'"
    async with held_up(service, delete, calls=1):
        call = asyncio.create_task(refusal(member.revoke_key(created.key.name)))
    assert (await call).reason == "RESOURCE_NOT_FOUND"


@dataclass
class Inside:
    """The use cases without a wire: the check of a caller and its transaction, one by one."""

    services: Services

    async def call_of(self, token: str) -> Call:
        """A call whose caller has been checked, and nothing more."""
        caller = await self.services.authenticate.caller(token, None)
        return Call(caller, "call-id", None, lambda: None, request=None, settling=None, waits=False)


@pytest.fixture(scope="module", name="inside")
async def _inside(service: Service) -> AsyncIterator[Inside]:
    parts = await Parts.open(Config(argon2_threads=1), service.dsn)
    services = parts.services(b"a signing key of the test's own....", timedelta(seconds=1))
    async with services.authenticate.replica.running():
        yield Inside(services)
    await parts.close()


async def test_no_mutation_trusts_an_earlier_check_of_its_caller(
    service: Service, inside: Inside
) -> None:
    created = await service.admin.create_key()
    victim = (await service.admin.create_key()).key.name
    await service.admin.create_user("bystander")
    call = await inside.call_of(created.token)
    await service.admin.revoke_key(created.key.name)

    creation, keys = inside.services.key_creation, inside.services.key_changes
    users = inside.services.users
    for mutation in (
        lambda: creation.create(call, WorkspaceName("default"), KeySpec(key_id="never-made")),
        lambda: keys.revoke(call, KeyName.parse(victim, "name")),
        lambda: keys.delete(call, KeyName.parse(victim, "name")),
        lambda: users.create(call, WorkspaceName("default"), UserSpec("never-made", email="n@x.y")),
        lambda: users.disable(call, UserName("default", "bystander")),
    ):
        with pytest.raises(Denied) as error:
            await mutation()
        assert error.value.reason is Reason.KEY_REVOKED
    assert (await service.admin.get_key(victim)).state == key_pb2.KEY_STATE_ACTIVE
    assert (await service.admin.get_user(user("bystander"))).state == 1
    for gone in (
        refusal(service.admin.get_key(f"{PARENT}/keys/never-made")),
        refusal(service.admin.get_user(user("never-made"))),
    ):
        assert (await gone).reason == "RESOURCE_NOT_FOUND"


async def test_authority_that_was_lost_meanwhile_is_not_given_away(
    service: Service, inside: Inside
) -> None:
    admin = await service.person("fallen", "admin")
    call = await inside.call_of(admin.token or "")
    await service.admin.do(
        "UpdateUser", user={"name": user("fallen"), "role": f"{PARENT}/roles/member"}
    )

    for spec in (KeySpec(user=UserName("default", "admin")), KeySpec(resource="projects/a")):
        with pytest.raises(ServiceError) as error:
            await inside.services.key_creation.create(call, WorkspaceName("default"), spec)
        assert error.value.reason is Reason.CALLER_PERMISSION_MISSING


async def test_a_deleted_caller_is_refused(service: Service, inside: Inside) -> None:
    created = await service.admin.create_key()
    call = await inside.call_of(created.token)
    await service.admin.delete_key(created.key.name)

    with pytest.raises(Denied) as error:
        await inside.services.key_creation.create(call, WorkspaceName("default"), KeySpec())
    assert error.value.reason is Reason.TOKEN_UNKNOWN


# --- an admin remains -------------------------------------------------------------------------


async def steward(service: Service, user_id: str) -> Caller:
    """Somebody who may disable users and is no admin."""
    await service.sql(
        "INSERT INTO keywright.role (workspace, role_id, permissions, may_hold_keys) "
        "SELECT id, 'steward', '{users.manage}', true FROM keywright.workspace "
        "WHERE workspace_id = 'default' ON CONFLICT DO NOTHING"
    )
    return await service.person(user_id, "steward")


async def the_last_two_admins_disabled_at_once(service: Service) -> None:
    """Two stewards disable the two admins: each sees the other admin, unless one waits."""
    await service.admin.create_user("boss", "admin")
    one, two = await steward(service, "steward-1"), await steward(service, "steward-2")
    async with held_up_at_their_events(service, calls=2):
        calls = [
            asyncio.create_task(one.disable_user(ADMIN)),
            asyncio.create_task(two.disable_user(user("boss"))),
        ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    rows = await service.sql(
        "SELECT count(*) FROM keywright.user u JOIN keywright.role r ON r.id = u.role "
        "WHERE role_id = 'admin' AND user_id IN ('admin', 'boss') AND state = 'ACTIVE'"
    )
    await service.sql("UPDATE keywright.user SET state = 'ACTIVE' WHERE user_id = 'admin'")
    await service.sql("DELETE FROM keywright.user WHERE user_id = 'boss'")
    assert rows[0][0] == 1
    refused = [each for each in results if isinstance(each, RefusedError)]
    assert [each.reason for each in refused] == ["LAST_ADMIN"]


async def test_of_the_last_two_admins_one_remains_whoever_disables_them_at_once(
    service: Service,
) -> None:
    for row in await service.sql(
        "SELECT user_id FROM keywright.user u JOIN keywright.role r ON r.id = u.role "
        "WHERE role_id = 'admin' AND user_id <> 'admin'"
    ):
        await service.admin.disable_user(user(row[0]))
    await the_last_two_admins_disabled_at_once(service)


# --- the history ------------------------------------------------------------------------------


async def standing(service: Service) -> Position:
    rows = await service.sql("SELECT revision, tag FROM keywright.authority_revision")
    return Position(rows[0]["revision"], rows[0]["tag"])


async def told(service: Service, revision: str) -> Position:
    """The position that a reply speaks of."""
    rows = await service.sql("SELECT signing_key FROM keywright.installation")
    return Seal(rows[0][0]).position(revision, "revision")


async def changes(service: Service, after: int) -> Sequence[tuple[int, str, int]]:
    rows = await service.sql(
        "SELECT revision, kind, changed FROM keywright.authority_change "
        "WHERE revision > $1 ORDER BY revision",
        after,
    )
    return [(row["revision"], row["kind"], row["changed"]) for row in rows]


async def internal(service: Service, table: str, public_id: str) -> int:
    rows = await service.sql(f"SELECT id FROM keywright.{table} WHERE {table}_id = $1", public_id)
    return rows[0][0]


async def test_each_change_of_authority_is_one_revision_that_names_what_changed(
    service: Service,
) -> None:
    made = (await service.admin.create_user("ann")).name
    kept = (await service.admin.create_key(user=made)).key.name
    gone = (await service.admin.create_key(user=made)).key.name
    ids = {
        ("key", kept): await internal(service, "key", key_id(kept)),
        ("key", gone): await internal(service, "key", key_id(gone)),
        ("user", made): await internal(service, "user", "ann"),
    }
    for call, kind, name in (
        (service.admin.revoke_key, "key", kept),
        (service.admin.delete_key, "key", gone),
        (service.admin.disable_user, "user", made),
        (service.admin.enable_user, "user", made),
    ):
        before = await standing(service)
        reply = await call(name)
        after = await standing(service)
        assert after.revision == before.revision + 1
        assert after.tag != before.tag
        assert await told(service, reply.revision) == after
        assert await changes(service, before.revision) == [(after.revision, kind, ids[kind, name])]


async def test_what_takes_nothing_away_makes_no_revision(service: Service) -> None:
    before = await standing(service)
    await service.admin.create_user("bea")
    created = await service.admin.create_key(user=user("bea"))
    await service.admin.authenticate(created.token)
    await service.admin.list_keys()
    for call in (
        service.admin.create_key(key_id=key_id(created.key.name)),
        service.admin.revoke_key(f"{PARENT}/keys/no-such"),
    ):
        await refusal(call)

    assert await standing(service) == before
    assert await told(service, created.revision) == before


async def test_a_repetition_writes_nothing_and_tells_the_position_it_saw(service: Service) -> None:
    made = (await service.admin.create_user("cem")).name
    created = (await service.admin.create_key(user=made)).key.name
    await service.admin.revoke_key(created)
    await service.admin.disable_user(made)
    before = await standing(service)

    for reply in (
        await service.admin.revoke_key(created),
        await service.admin.disable_user(made),
    ):
        assert await told(service, reply.revision) == before
    assert await standing(service) == before


async def test_revisions_are_in_commit_order_and_without_gaps(service: Service) -> None:
    names = [(await service.admin.create_key()).key.name for _ in range(20)]
    before = await standing(service)
    done = asyncio.Event()

    async def watch() -> int:
        """Read the history all the while: nobody may ever see a revision before an earlier one."""
        looks = 0
        async with service.connection() as connection:
            while not done.is_set() or not looks:
                row = await connection.fetchrow(
                    "SELECT revision, ARRAY(SELECT revision FROM keywright.authority_change "
                    "WHERE revision > $1 ORDER BY revision) AS seen "
                    "FROM keywright.authority_revision",
                    before.revision,
                )
                assert row is not None
                assert row["seen"] == list(range(before.revision + 1, row["revision"] + 1))
                looks += 1
        return looks

    watching = asyncio.create_task(watch())
    replies = await asyncio.gather(*(service.admin.revoke_key(name) for name in names))
    done.set()
    assert await watching
    positions = [await told(service, reply.revision) for reply in replies]
    assert sorted(each.revision for each in positions) == list(
        range(before.revision + 1, before.revision + 21)
    )
    ids = {await internal(service, "key", key_id(name)) for name in names}
    assert {changed for _, _, changed in await changes(service, before.revision)} == ids
    assert max(positions, key=lambda each: each.revision) == await standing(service)


async def test_of_many_who_revoke_one_key_at_once_one_does_and_all_are_told(
    service: Service,
) -> None:
    created = await service.admin.create_key()
    before = await standing(service)
    replies = await asyncio.gather(*(service.admin.revoke_key(created.key.name) for _ in range(10)))

    assert {reply.key.state for reply in replies} == {key_pb2.KEY_STATE_REVOKED}
    assert (await standing(service)).revision == before.revision + 1
    rows = await service.sql(
        "SELECT count(*) FROM keywright.audit_event WHERE resource = $1 AND action = 'RevokeKey'",
        created.key.name,
    )
    assert rows[0][0] == 1


async def test_calls_that_need_the_same_rows_in_any_order_all_end(service: Service) -> None:
    pairs = [await service.person(f"pair-{number}", "admin") for number in range(2)]
    for _ in range(3):
        owned = [
            (await service.admin.create_key(user=user(f"pair-{number}"))) for number in range(2)
        ]
        tokens = [service.as_caller(each.token) for each in owned]
        results = await asyncio.gather(
            tokens[0].revoke_key(owned[1].key.name),
            tokens[1].revoke_key(owned[0].key.name),
            pairs[0].enable_user(user("pair-1")),
            pairs[1].enable_user(user("pair-0")),
            return_exceptions=True,
        )
        failed = [each for each in results if isinstance(each, BaseException)]
        assert all(isinstance(each, RefusedError) for each in failed)
        # Of the two keys that revoke each other, the later one no longer stands.
        reasons = [each.reason for each in failed if isinstance(each, RefusedError)]
        assert reasons in ([], ["CALLER_CREDENTIAL_INVALID"])
        assert len(reasons) == 1


@pytest.mark.parametrize("by", ["key", "session"])
async def test_nothing_comes_into_being_by_a_key_once_its_revocation_has_returned(
    service: Service, by: str
) -> None:
    minting = await service.admin.create_key()
    caller = service.as_caller(minting.token)
    if by == "session":  # that the key has opened
        shown = await service.as_caller(None).do("CreateSession", key_token=minting.token)
        caller = service.as_caller(shown.token)
    async with held_up(service, "LOCK TABLE keywright.key_secret IN SHARE MODE", calls=2):
        child = asyncio.create_task(caller.create_key(key_id=f"minted-by-{by}"))
        await blocked(service, 1)  # it has its key in hand, and waits to insert
        revoked = asyncio.create_task(service.admin.revoke_key(minting.key.name))
    await revoked
    listed = await service.admin.list_keys()
    assert f"{PARENT}/keys/minted-by-{by}" in [key.name for key in listed.keys]
    await child
