"""Whoever holds a leaked token can end it, and learns nothing by that."""

from typing import Any

import grpc
import pytest

from keywright.v1 import key_pb2
from tests.integration.test_notices import noticed, until_noticed
from tests.support.database import Cluster
from tests.support.service import METHODS, Service, refusal, service

SOURCE = "https://git.example/acme/app/blob/main/.env#L3"


async def report(service: Service, token: str, source: str = "", **metadata: str) -> Any:
    """The whole answer to somebody without a credential: bytes, and the metadata of the reply."""
    path, request, _reply = METHODS["ReportLeakedToken"]
    channel: Any = service.channel
    call = channel.unary_unary(path)(
        request(token=token, source=source).SerializeToString(), metadata=tuple(metadata.items())
    )
    reply = await call
    heads = {key for key, _ in (*await call.initial_metadata(), *await call.trailing_metadata())}
    return reply, heads, await call.code(), await call.details()


async def state_of(service: Service, name: str) -> str:
    return key_pb2.KeyState.Name((await service.admin.get_key(name)).state)


async def a_report_ends_the_key(running: Service) -> None:
    created = await running.admin.create_key()
    await report(running, created.token, SOURCE)
    error = await refusal(running.admin.authenticate(created.token))
    assert error.reason == "KEY_REVOKED"
    found = await noticed(running, resource=created.key.name, action="ReportLeakedToken")
    assert found
    event = found[0]
    assert (event["outcome"], event["reason"]) == ("NOTICED", "")
    assert (event["actor"], event["credential"], event["actor_email"]) == ("", "", "")
    assert (event["client_address"], event["count"]) == ("127.0.0.1", 1)
    assert event["call_id"]
    assert event["change"] == {
        "before": {"state": "ACTIVE"},
        "after": {"state": "REVOKED", "prefix": created.key.prefix, "source": SOURCE},
    }


async def test_a_report_ends_the_key_and_its_owner_finds_it_in_the_trail(service: Service) -> None:
    await a_report_ends_the_key(service)


async def test_the_answer_is_the_same_whatever_is_reported(service: Service) -> None:
    created = await service.admin.create_key()
    revoked = await service.admin.create_key()
    await service.admin.revoke_key(revoked.key.name)
    deleted = await service.admin.create_key()
    await service.admin.delete_key(deleted.key.name)
    rotated = await service.admin.create_key()
    await service.admin.do("RotateKey", name=rotated.key.name)
    wrong = created.token[:30] + revoked.token[30:]
    answers = [
        await report(service, token)
        for token in (
            *(created.token, created.token, revoked.token, deleted.token, rotated.token, wrong),
            *("nonsense", "kw_live_", created.token[:-1], "\N{SNOWMAN}" * 9, "x" * 8192),
        )
    ]
    first = answers[0]
    assert first[0] == b""
    assert first[2] is grpc.StatusCode.OK
    assert all(answer == first for answer in answers)


async def test_a_credential_is_neither_needed_nor_read(service: Service) -> None:
    used = await service.admin.create_key()
    for authorization in ("", "Bearer nonsense", "Basic eDp5", f"Bearer {used.token}"):
        created = await service.admin.create_key()
        await report(service, created.token, authorization=authorization)
        assert await state_of(service, created.key.name) == "KEY_STATE_REVOKED"


@pytest.mark.parametrize("state", ["disabled", "expired"])
async def test_a_key_in_any_other_state_is_revoked(service: Service, state: str) -> None:
    created = await service.admin.create_key()
    name = created.key.name
    if state == "disabled":
        await service.admin.do("DisableKey", name=name)
    else:
        await service.sql(
            "UPDATE keywright.key SET expire_time = now() WHERE key_id = $1",
            name.rpartition("/")[2],
        )
    await report(service, created.token)
    assert await state_of(service, name) == "KEY_STATE_REVOKED"


async def test_a_replaced_token_loses_its_grace_and_the_key_stands(service: Service) -> None:
    created = await service.admin.create_key()
    name = created.key.name
    rotated = await service.admin.do("RotateKey", name=name, grace={"seconds": 3600})
    (before,) = await service.sql("SELECT revision FROM keywright.authority_revision")
    await report(service, created.token, SOURCE)

    error = await refusal(service.admin.authenticate(created.token))
    assert error.reason == "TOKEN_RETIRED"
    await service.admin.authenticate(rotated.token)
    (after,) = await service.sql("SELECT revision FROM keywright.authority_revision")
    assert after["revision"] == before["revision"] + 1
    (event,) = await noticed(service, resource=name, action="ReportLeakedToken")
    change = event["change"]
    assert change["after"]["source"] == SOURCE
    assert change["after"]["prefix"] == created.key.prefix
    assert change["before"]["retire_time"] > change["after"]["retire_time"]


async def test_a_report_of_a_dead_token_is_noticed(service: Service) -> None:
    created = await service.admin.create_key()
    await service.admin.revoke_key(created.key.name)
    await report(service, created.token, SOURCE)
    event = await until_noticed(service, resource=created.key.name)
    assert (event["action"], event["reason"]) == ("ReportLeakedToken", "KEY_REVOKED")
    assert event["change"] == {"after": {"source": SOURCE}}


async def test_a_flood_of_reports_leaves_one_event_a_minute(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as running:
        created = await running.admin.create_key()
        for _ in range(50):
            await report(running, created.token)
        dead = await running.admin.create_key()
        await running.admin.revoke_key(dead.key.name)
        await report(running, dead.token)
        await until_noticed(running, resource=dead.key.name)  # so the others were looked at, too
        (event,) = await noticed(running, resource=created.key.name)
        assert event["count"] == 1
        await running.process.stop()
        found = await noticed(running, resource=created.key.name)
        assert [each["count"] for each in found] == [1, 49]
        assert found[1]["reason"] == "KEY_REVOKED"


async def test_reports_at_once_end_the_key_once(service: Service) -> None:
    import asyncio

    created = await service.admin.create_key()
    await asyncio.gather(*(report(service, created.token) for _ in range(10)))
    found = await noticed(service, resource=created.key.name, reason="")
    assert len(found) == 1


async def test_no_token_gets_into_the_trail_by_its_source(service: Service) -> None:
    created = await service.admin.create_key()
    await report(service, created.token, f"found {created.token} in a log")
    (event,) = await noticed(service, resource=created.key.name)
    assert created.token[25:] not in str(event)
    assert "kw_live_" in event["change"]["after"]["source"]


async def test_a_report_that_cannot_be_audited_ends_nothing(service: Service) -> None:
    created = await service.admin.create_key()
    await service.sql("ALTER TABLE keywright.audit_event RENAME TO hidden")
    try:
        with pytest.raises(grpc.aio.AioRpcError):
            await report(service, created.token)
    finally:
        await service.sql("ALTER TABLE keywright.hidden RENAME TO audit_event")
    await service.admin.authenticate(created.token)


@pytest.mark.parametrize(
    ("given", "field"),
    [({}, "token"), ({"token": "x" * 8193}, "token"), ({"token": "x", "source": "x" * 1001},
                                                       "source")],
)  # fmt: skip
async def test_a_report_that_is_none_names_its_field(
    service: Service, given: dict[str, str], field: str
) -> None:
    error = await refusal(service.as_caller(None).do("ReportLeakedToken", **given))
    assert error.fields == [field]
