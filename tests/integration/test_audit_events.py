"""Audit events as they are asked for: filters, pages, who sees what."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from keywright.domain.audit_trail import sha256
from keywright.storage.database import Database
from keywright.v1 import audit_event_pb2, error_reason_pb2
from tests.support.audit import Trail, new_trail, opened
from tests.support.service import ADMIN, PARENT, Caller, Service, refusal

ANN = f"{PARENT}/users/ann"


@pytest.fixture(scope="module", name="database")
async def _database(service: Service) -> AsyncIterator[Database]:
    async with opened(service.dsn) as database:
        yield database


@pytest.fixture(scope="module", name="ann")
async def _ann(service: Service) -> Caller:
    return await service.person("ann")


async def listed(caller: Caller, **filtered: Any) -> list[Any]:
    reply = await caller.do("ListAuditEvents", parent=PARENT, page_size=1000, filter=filtered)
    assert not reply.next_page_token
    return list(reply.audit_events)


def told(events: list[Any]) -> list[tuple[str, str]]:
    """Actions and ids of resources, newest first."""
    return [(each.action, each.resource.rpartition("/")[2]) for each in events]


async def test_an_event_says_who_did_what_with_which_credential_and_what_changed(
    service: Service, ann: Caller
) -> None:
    caller = service.as_caller(ann.token, ("x-request-id", "audit-events-1"))
    made = (await ann.create_key(key_id="told", display_name="one")).key
    key = {"name": made.name, "display_name": "two"}
    await caller.do("UpdateKey", key=key, update_mask={"paths": ["display_name"]})

    event = (await listed(service.admin, resource=made.name))[0]
    assert event.action == "UpdateKey"
    assert event.outcome == audit_event_pb2.AUDIT_OUTCOME_DONE
    assert event.reason == error_reason_pb2.ERROR_REASON_UNSPECIFIED
    assert event.actor == ANN
    assert event.actor_email == "ann@example.com"
    assert event.credential.startswith(f"{PARENT}/keys/")
    assert event.client_address
    assert event.count == 1
    (change,) = event.changes
    assert (change.field, change.before, change.after) == ("display_name", '"one"', '"two"')
    assert not event.record
    got = (await service.admin.do("GetAuditEvent", name=event.name)).audit_event
    got.seal = event.seal  # it may be sealed by now
    assert got == event


@pytest.fixture(scope="module", name="denied")
async def _denied(service: Service) -> str:
    """An aggregate of denied calls, as it is stored; its resource."""
    await service.sql(
        """
        INSERT INTO keywright.audit_event
            (workspace_id, action, resource, outcome, reason, actor, actor_email, credential,
             client_address, request_id, call_id, count, first_time)
        VALUES ('default', 'CreateUser', 'workspaces/default/users/x', 'DENIED',
                'CALLER_PERMISSION_MISSING', 'workspaces/default/users/gone', 'gone@example.com',
                'workspaces/default/keys/of-gone', '2001:db8::1', 'again', 'in-the-log', 7,
                now() - interval '1 minute'),
               ('default', 'RetiredTokenPresented', 'workspaces/default/keys/old', 'NOTICED',
                'TOKEN_RETIRED', '', '', '', '192.0.2.9', '', '', 1, NULL)
        """
    )
    return "workspaces/default/users/x"


@pytest.mark.parametrize(
    ("filtered", "actions"),
    [
        ({"actor": f"{PARENT}/users/gone"}, ["CreateUser"]),
        ({"credential": f"{PARENT}/keys/of-gone"}, ["CreateUser"]),
        ({"resource": f"{PARENT}/users/x"}, ["CreateUser"]),
        ({"resource": f"{PARENT}/keys/old"}, ["RetiredTokenPresented"]),
        ({"resource": f"{PARENT}/keys/ol"}, []),
        ({"actions": ["RetiredTokenPresented", "DeleteRole"]}, ["RetiredTokenPresented"]),
        ({"outcomes": ["AUDIT_OUTCOME_DENIED"]}, ["CreateUser"]),
        (
            {"outcomes": ["AUDIT_OUTCOME_NOTICED", "AUDIT_OUTCOME_DENIED"]},
            ["CreateUser", "RetiredTokenPresented"],
        ),
        ({"client_address": "2001:DB8:0::1"}, ["CreateUser"]),
        ({"request_id": "again"}, ["CreateUser"]),
        ({"request_id": "in-the-log"}, ["CreateUser"]),
        ({"request_id": "again", "actions": ["UpdateKey"]}, []),
        ({"actions": ["ImportKey", "RemoveAuditEvents", "RevokedTokenPresented"]}, []),
        ({"outcomes": ["AUDIT_OUTCOME_DENIED"], "end_time": {"seconds": 1}}, []),
        ({"outcomes": ["AUDIT_OUTCOME_DENIED"], "start_time": {"seconds": 1}}, ["CreateUser"]),
    ],
)
async def test_events_are_found_by_each_filter(
    service: Service, denied: str, filtered: dict[str, Any], actions: list[str]
) -> None:
    found = await listed(service.admin, **filtered)
    assert sorted(each.action for each in found) == sorted(actions)
    for event in found:
        if event.resource == denied:
            assert event.count == 7
            assert event.reason == error_reason_pb2.ERROR_REASON_CALLER_PERMISSION_MISSING
            assert event.HasField("first_time")


async def test_a_resource_means_what_is_below_it_too(service: Service, denied: str) -> None:
    await service.admin.create_key(key_id="below")
    await service.admin.create_key(key_id="below-2")
    assert told(await listed(service.admin, resource=f"{PARENT}/keys/below")) == [
        ("CreateKey", "below")
    ]
    users = await listed(service.admin, resource=f"{PARENT}/users")
    assert denied in {each.resource for each in users}
    assert all(each.resource.startswith(f"{PARENT}/users/") for each in users)
    everything = await listed(service.admin, resource=PARENT)
    assert {"CreateWorkspace", "CreateKey"} <= {each.action for each in everything}


async def test_a_time_is_taken_to_the_microsecond_its_end_excluded(service: Service) -> None:
    made = (await service.admin.create_key(key_id="timed")).key
    (event,) = await listed(service.admin, resource=made.name)
    at, later = event.create_time, type(event.create_time)()
    later.FromDatetime(at.ToDatetime() + timedelta(microseconds=1))
    for asked, found in (
        ({"start_time": at, "end_time": later}, 1),
        ({"start_time": later}, 0),
        ({"end_time": at}, 0),
    ):
        assert len(await listed(service.admin, resource=made.name, **asked)) == found


async def test_an_actor_is_found_by_e_mail_and_when_deleted_by_id(service: Service) -> None:
    bob = await service.person("bob")
    await bob.create_key(key_id="of-bob")
    for actor in ("bob", "BOB@example.com"):
        found = await listed(service.admin, actor=f"{PARENT}/users/{actor}")
        assert told(found) == [("CreateKey", "of-bob")]
    await service.admin.do("DeleteUser", name=f"{PARENT}/users/bob", force=True)
    assert told(await listed(service.admin, actor=f"{PARENT}/users/bob")) == [
        ("CreateKey", "of-bob")
    ]
    for actor in ("nobody", "no@body.example"):
        error = await refusal(listed(service.admin, actor=f"{PARENT}/users/{actor}"))
        assert error.reason == "RESOURCE_NOT_FOUND"


async def test_a_user_is_a_resource_by_e_mail_too(service: Service) -> None:
    await service.person("kim")
    by_id = await listed(service.admin, resource=f"{PARENT}/users/kim")
    assert by_id
    assert await listed(service.admin, resource=f"{PARENT}/users/KIM@example.com") == by_id
    error = await refusal(listed(service.admin, resource=f"{PARENT}/users/no@body.example"))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_pages_have_every_event_once_newest_first(
    service: Service, database: Database
) -> None:
    trail = await new_trail(service, database, 5, 4)
    await trail.insert(3, at=await trail.value("SELECT now() - interval '1 year'"))
    seen, token = [], ""
    while True:
        reply = await trail.admin.do(
            "ListAuditEvents", parent=trail.parent, page_size=2, page_token=token
        )
        seen += list(reply.audit_events)
        if not (token := reply.next_page_token):
            break
    assert len(seen) == await trail.value(
        "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
    )
    places = [
        (each.create_time.ToNanoseconds(), int(each.name.rpartition("/")[2])) for each in seen
    ]
    assert places == sorted(set(places), reverse=True)


async def test_a_record_is_what_the_seal_covers(service: Service, database: Database) -> None:
    trail = await new_trail(service, database, 3)
    seal = (await trail.seals())[-1]
    reply = await trail.admin.do(
        "ListAuditEvents", parent=trail.parent, include_records=True, filter={"seal": seal.name}
    )
    assert {each.seal for each in reply.audit_events} == {seal.name}
    leaves = await trail.value(
        "SELECT leaves FROM keywright.audit_seal WHERE workspace_id = $1 ORDER BY number DESC"
    )
    ordered = sorted(reply.audit_events, key=lambda each: int(each.name.rpartition("/")[2]))
    assert b"".join(sha256(each.record) for each in ordered) == leaves
    assert sha256(seal.content) == seal.digest


# --- who sees what ------------------------------------------------------------------------------


async def test_without_audit_read_one_sees_what_is_about_ones_own_keys(
    service: Service, ann: Caller
) -> None:
    await ann.create_key(key_id="anns")
    await service.admin.revoke_key(f"{PARENT}/keys/anns")
    await service.admin.create_key(key_id="not-anns")
    assert told(await listed(ann))[:2] == [("RevokeKey", "anns"), ("CreateKey", "anns")]
    assert all(each.resource.startswith(f"{PARENT}/keys/") for each in await listed(ann))
    assert not await listed(ann, resource=f"{PARENT}/keys/not-anns")
    assert told(await listed(ann, actor=ANN, resource=f"{PARENT}/keys/anns")) == [
        ("CreateKey", "anns")
    ]
    (event, *_) = await listed(ann)
    assert (await ann.do("GetAuditEvent", name=event.name)).audit_event.action == event.action
    for other in (f"{PARENT}/keys/not-anns", ANN):
        (event, *_) = await listed(service.admin, resource=other)
        error = await refusal(ann.do("GetAuditEvent", name=event.name))
        assert error.reason == "RESOURCE_NOT_FOUND"


async def test_who_has_the_id_of_a_deleted_key_does_not_see_what_was_done_to_that(
    service: Service, ann: Caller
) -> None:
    await service.admin.create_key(key_id="once-another")
    await service.admin.delete_key(f"{PARENT}/keys/once-another")
    await ann.create_key(key_id="once-another")
    of_hers = await listed(ann, resource=f"{PARENT}/keys/once-another")
    assert [(each.action, each.actor) for each in of_hers] == [("CreateKey", ANN)]


async def test_a_key_that_may_not_even_see_keys_sees_no_events(
    service: Service, ann: Caller
) -> None:
    narrow = await ann.create_key(scopes=["datasets.read"])
    error = await refusal(listed(service.as_caller(narrow.token)))
    assert error.reason == "CALLER_PERMISSION_MISSING"
    assert error.info.metadata["permission"] == "audit.read"


async def test_no_filter_leads_into_another_workspace(service: Service, database: Database) -> None:
    trail: Trail = await new_trail(service, database, 2)
    for filtered in (
        {"actor": f"{trail.parent}/users/admin"},
        {"credential": f"{trail.parent}/keys/k"},
        {"resource": f"{trail.parent}/keys/k1"},
        {"resource": trail.parent},
        {"seal": f"{trail.parent}/auditSeals/1"},
    ):
        error = await refusal(listed(service.admin, **filtered))
        assert error.reason == "RESOURCE_NOT_FOUND", filtered
    event_id = await trail.value(
        "SELECT min(id) FROM keywright.audit_event WHERE workspace_id = $1"
    )
    for name in (f"{trail.parent}/auditEvents/{event_id}", f"{PARENT}/auditEvents/{event_id}"):
        error = await refusal(service.admin.do("GetAuditEvent", name=name))
        assert error.reason == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    ("filtered", "field"),
    [
        ({"resource": "projects/a"}, "filter.resource"),
        ({"resource": f"{PARENT}/ci-deploy"}, "filter.resource"),
        ({"resource": f"{PARENT}/keys/a@b.example"}, "filter.resource"),
        ({"credential": "workspaces/"}, "filter.credential"),
        ({"credential": f"{PARENT}/ci-deploy"}, "filter.credential"),
        ({"actions": ["RevokeKey", "revokekey"]}, "filter.actions[1]"),
        ({"start_time": {"seconds": 2}, "end_time": {"seconds": 2}}, "filter.end_time"),
        ({"client_address": "here"}, "filter.client_address"),
        ({"actions": ["Revoke Key"]}, "filter.actions[0]"),
        ({"seal": f"{PARENT}/auditSeals/0"}, "filter.seal"),
        ({"outcomes": ["AUDIT_OUTCOME_UNSPECIFIED"]}, "filter.outcomes[0]"),
        ({"start_time": {"seconds": 10**15}}, "filter.start_time"),
    ],
)
async def test_a_filter_that_cannot_be_names_its_field(
    service: Service, filtered: dict[str, Any], field: str
) -> None:
    error = await refusal(listed(service.admin, **filtered))
    assert error.reason == "FIELD_INVALID"
    assert error.fields == [field]


@pytest.mark.parametrize("event", ["0", "01", "abc", "9" * 30])
async def test_an_id_that_is_none_is_not_found(service: Service, event: str) -> None:
    error = await refusal(service.admin.do("GetAuditEvent", name=f"{PARENT}/auditEvents/{event}"))
    assert error.reason == "RESOURCE_NOT_FOUND"
    assert ADMIN not in error.message
