"""The audit trail: an event with each mutation and none without, and never a secret in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from keywright.v1 import key_pb2
from tests.support.service import ADMIN, PARENT, Service, refusal

CALL_ID = "audit-test-0001"


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


async def events(service: Service, resource: str) -> list[dict[str, Any]]:
    """What was done to a resource, oldest first."""
    rows = await service.sql(
        "SELECT * FROM keywright.audit_event WHERE resource = $1 AND outcome = 'DONE' "
        "ORDER BY create_time, id",
        resource,
    )
    return [dict(row) for row in rows]


async def count(service: Service) -> int:
    rows = await service.sql("SELECT count(*) FROM keywright.audit_event WHERE outcome = 'DONE'")
    return rows[0][0]


@asynccontextmanager
async def failing(service: Service, table: str, event: str) -> AsyncIterator[None]:
    """Let the database refuse a write for as long as the block."""
    await service.quietly(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'a fault that the test made'; END $$"
    )
    try:
        await service.quietly(
            f"CREATE TRIGGER fault BEFORE {event} ON keywright.{table} "
            "FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        yield
    finally:
        await service.quietly("DROP FUNCTION fail CASCADE")


# --- one with the other -----------------------------------------------------------------------


async def every_mutation_has_its_event(service: Service) -> None:
    """Each mutation leaves exactly one event, of its own name."""
    admin = service.admin
    made = (await admin.create_user("ann")).name
    created = (await admin.create_key(user=made)).key.name
    await admin.revoke_key(created)
    await admin.delete_key(created)
    await admin.disable_user(made)
    await admin.enable_user(made)

    assert [each["action"] for each in await events(service, created)] == [
        "CreateKey", "RevokeKey", "DeleteKey",
    ]  # fmt: skip
    assert [each["action"] for each in await events(service, made)] == [
        "CreateUser", "DisableUser", "EnableUser",
    ]  # fmt: skip


async def test_every_mutation_has_its_event(service: Service) -> None:
    await every_mutation_has_its_event(service)


async def test_what_cannot_be_audited_does_not_happen(service: Service) -> None:
    made = (await service.admin.create_user("bea")).name
    created = await service.admin.create_key(key_id="kept")
    before = await count(service)

    async with failing(service, "audit_event", "INSERT"):
        for call in (
            service.admin.create_key(key_id="never"),
            service.admin.create_user("never"),
            service.admin.revoke_key(created.key.name),
            service.admin.delete_key(created.key.name),
            service.admin.disable_user(made),
        ):
            error = await refusal(call)
            assert error.reason == "INTERNAL"
            assert "fault" not in error.message

    never_made = service.admin.get_key(f"{PARENT}/keys/never")
    assert (await refusal(never_made)).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(service.admin.get_user(user("never")))).reason == "RESOURCE_NOT_FOUND"
    await service.admin.authenticate(created.token)
    await service.admin.create_key(user=made)
    assert await count(service) == before + 1


async def what_fails_leaves_no_event(service: Service) -> None:
    """A mutation that fails in its last statement leaves nothing, and no event."""
    created = await service.admin.create_key()
    made = (await service.admin.create_user("cem")).name
    before = await count(service)

    async with failing(service, "authority_revision", "UPDATE"):
        for call in (
            service.admin.revoke_key(created.key.name),
            service.admin.delete_key(created.key.name),
            service.admin.disable_user(made),
        ):
            assert (await refusal(call)).reason == "INTERNAL"
    assert await count(service) == before
    await service.admin.authenticate(created.token)


async def test_what_fails_leaves_no_event(service: Service) -> None:
    await what_fails_leaves_no_event(service)


async def test_what_is_refused_or_changes_nothing_leaves_no_event(service: Service) -> None:
    dan = await service.person("dan")
    created = await service.admin.create_key(key_id="once")
    await service.admin.revoke_key(created.key.name)
    before = await count(service)

    await service.admin.revoke_key(created.key.name)
    await service.admin.enable_user(user("dan"))
    for call in (
        service.admin.create_key(key_id="once"),
        service.admin.create_key(user=user("nobody")),
        dan.create_key(user=ADMIN),
        dan.revoke_key(created.key.name),
        service.admin.disable_user(ADMIN),
        service.admin.create_user("dan"),
    ):
        await refusal(call)
    assert await count(service) == before


# --- what an event says -----------------------------------------------------------------------


async def test_an_event_says_who_did_it_with_what_from_where(service: Service) -> None:
    eve = await service.person("eve")
    own = (await eve.list_keys()).keys[0].name
    caller = service.as_caller(eve.token, ("x-request-id", CALL_ID))
    created = await caller.create_key(display_name="audited", scopes=["keys.own", "labels.*"])

    (event,) = await events(service, created.key.name)
    assert event["workspace_id"] == "default"
    assert event["actor"] == user("eve")
    assert event["credential"] == own
    assert event["client_address"] == "127.0.0.1"
    assert event["call_id"] == CALL_ID
    assert event["change"]["after"] == {
        "user": "eve",
        "display_name": "audited",
        "state": "ACTIVE",
        "prefix": created.key.prefix,
        "environment": "live",
        "role": None,
        "rate_limit": None,
        "scopes": ["keys.own", "labels.*"],
        "resource": "",
        "allowed_networks": [],
        "labels": {},
        "expire_time": None,
    }


async def test_events_say_what_was_before_and_after(service: Service) -> None:
    made = (await service.admin.create_user("fay", "labeler")).name
    created = await service.admin.create_key(user=made, allowed_networks=["192.0.2.0/24"])
    await service.admin.revoke_key(created.key.name)
    await service.admin.delete_key(created.key.name)
    await service.admin.disable_user(made)

    _, revoked, deleted = await events(service, created.key.name)
    assert revoked["change"] == {"before": {"state": "ACTIVE"}, "after": {"state": "REVOKED"}}
    assert deleted["change"]["before"]["state"] == "REVOKED"
    assert deleted["change"]["before"]["allowed_networks"] == ["192.0.2.0/24"]
    user_created, disabled = await events(service, made)
    assert user_created["change"]["after"]["role"] == "labeler"
    assert user_created["change"]["after"]["email"] == "fay@example.com"
    assert disabled["change"] == {"before": {"state": "ACTIVE"}, "after": {"state": "DISABLED"}}
    assert disabled["actor"] == ADMIN


async def test_a_call_without_an_id_gets_one_that_is_in_the_trail(service: Service) -> None:
    first = (await service.admin.create_key()).key
    second = (await service.admin.create_key()).key

    ids = [(await events(service, key.name))[0]["call_id"] for key in (first, second)]
    assert all(ids)
    assert len(set(ids)) == 2


async def test_the_actor_is_who_the_credential_proves_whatever_the_request_says(
    service: Service,
) -> None:
    gil = await service.person("gil")
    created = await gil.create_key(
        creator=ADMIN, creator_email="admin@localhost", state=key_pb2.KEY_STATE_REVOKED, etag="v9"
    )

    assert created.key.creator == user("gil")
    assert created.key.state == key_pb2.KEY_STATE_ACTIVE
    (event,) = await events(service, created.key.name)
    assert event["actor"] == user("gil")


async def test_the_first_admin_is_in_the_trail(service: Service) -> None:
    (workspace,) = await events(service, PARENT)
    assert (workspace["action"], workspace["actor"]) == ("CreateWorkspace", "bootstrap")
    rows = await service.sql(
        "SELECT action FROM keywright.audit_event WHERE actor = 'bootstrap' ORDER BY id"
    )
    assert [row[0] for row in rows] == ["CreateWorkspace", "CreateUser", "CreateKey"]


async def test_an_event_outlives_what_it_speaks_of(service: Service) -> None:
    created = await service.admin.create_key(display_name="gone")
    await service.admin.delete_key(created.key.name)

    event, deleted = await events(service, created.key.name)
    assert event["change"]["after"]["display_name"] == "gone"
    assert deleted["change"]["before"]["prefix"] == created.key.prefix
