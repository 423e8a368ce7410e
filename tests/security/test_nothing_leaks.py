"""No error tells of the inside, and no log has a token (promise G9)."""

import grpc
import pytest
from google.rpc import error_details_pb2

from keywright.v1 import auth_service_pb2, key_service_pb2
from tests.security.leaks import (
    assert_no_secret_in,
    assert_tells_nothing_of_the_inside,
    essence,
)
from tests.support.database import Cluster
from tests.support.service import PARENT, Caller, RefusedError, Service, service
from tests.support.waiting import call_logged

# A fault of ours, at the moment a user is written, whose text tells all that it can.
BROKEN_FUNCTION = """
CREATE FUNCTION keywright.broken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.display_name LIKE 'broken%' THEN
        RAISE EXCEPTION 'relation "keywright.user" violates user_id_unique: SELECT %',
            NEW.display_name;
    END IF;
    RETURN NEW;
END $$
"""
BROKEN_TRIGGER = """
CREATE TRIGGER broken BEFORE INSERT ON keywright.user
    FOR EACH ROW EXECUTE FUNCTION keywright.broken()
"""


async def test_a_fault_of_ours_is_told_without_its_cause_which_is_in_the_log(
    service: Service,
) -> None:
    for statement in (BROKEN_FUNCTION, BROKEN_TRIGGER):
        await service.sql(statement)
    with pytest.raises(RefusedError) as refused:
        await service.admin.create_user("broken", display_name=f"broken {service.admin_token}")
    error = refused.value
    assert error.code is grpc.StatusCode.INTERNAL
    assert error.reason == "INTERNAL"
    assert error.message == "internal error; the server's log has it under request_id"

    logged = await service.process.logged("internal error")
    assert "violates user_id_unique" in logged["exception"]
    assert logged["request_id"] in error.status.SerializeToString().decode(errors="replace")
    assert service.admin_token not in logged["exception"]


async def test_a_constraint_that_a_request_breaks_is_told_in_words(service: Service) -> None:
    await service.admin.create_user("twin", external_id="ext-1")
    taken = [
        ("user_id", {"user_id": "twin", "email": "other@example.com"}),
        ("user.email", {"user_id": "other", "email": "TWIN@example.com"}),
        ("user.external_id", {"user_id": "other", "external_id": "ext-1"}),
    ]
    for field, attributes in taken:
        with pytest.raises(RefusedError) as refused:
            await service.admin.create_user(**attributes)
        assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS
        assert refused.value.fields == [field]

    with pytest.raises(RefusedError) as refused:
        await service.admin.create_user("nobody", email="")
    assert refused.value.reason == "FIELD_INVALID"
    assert refused.value.fields == ["user.email"]

    await service.admin.create_key(key_id="twin")
    with pytest.raises(RefusedError) as refused:
        await service.admin.create_key(key_id="twin")
    assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.value.fields == ["key_id"]


async def test_an_error_has_the_id_under_which_the_log_has_the_call(service: Service) -> None:
    caller = service.as_caller(service.admin_token, ("x-request-id", "a-call-of-mine-1"))
    with pytest.raises(RefusedError) as refused:
        await caller.get_key(f"{PARENT}/keys/nothing")
    told = refused.value.detail(error_details_pb2.RequestInfo)
    assert told is not None
    assert told.request_id == "a-call-of-mine-1"
    line = await call_logged(service.process, "a-call-of-mine-1")
    assert line["reason"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("call_id", ["short", "x" * 65, "a b c d e f g", "<script>alert(1)"])
async def test_an_id_of_a_call_that_could_forge_a_log_is_replaced(
    service: Service, call_id: str
) -> None:
    caller = service.as_caller(service.admin_token, ("x-request-id", call_id))
    with pytest.raises(RefusedError) as refused:
        await caller.get_key(f"{PARENT}/keys/nothing")
    assert call_id not in refused.value.status.SerializeToString().decode(errors="replace")


async def refused(caller: Caller, token: str) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        await caller.authenticate(token)
    return error.value


# Lines about verdicts are put together in another way: both kinds have to be discreet.
@pytest.mark.parametrize(("access_log", "lines"), [("all", 20), ("management", 5)])
async def test_no_token_reaches_the_log_however_it_is_presented(
    cluster: Cluster, access_log: str, lines: int
) -> None:
    settings = {"log_level": "debug", "access_log": access_log}
    async with service(await cluster.migrated(), **settings) as running:
        created = await running.admin.create_key()
        token, half = created.token, created.token[:40]
        await running.admin.authenticate(token)
        await running.as_caller(token).get_key(created.key.name)
        for presented in (
            f"{token}0",
            half,
            token[3:],
            f"x{token}",
            f"{token}\n{token}",
            token[20:],
        ):
            await refused(running.admin, presented)
            await refused(running.as_caller(presented.replace("\n", " ")), token)
        for value in (token, f"Basic {token}", f"Bearer {token}, {token}", "Bearer correct-horse"):
            await refused(running.as_caller(None, ("authorization", value)), token)
        for field in ("page_token", "order_by", "parent"):
            request = key_service_pb2.ListKeysRequest(parent=PARENT)
            setattr(request, field, token)
            with pytest.raises(RefusedError):
                await running.admin.keys("ListKeys", request)
        path = "/keywright.v1.AuthService/Authenticate"
        body = auth_service_pb2.AuthenticateRequest(token=token).SerializeToString()
        with pytest.raises(RefusedError):
            await running.admin.send(path, body[:-1])
        with pytest.raises(RefusedError):
            await running.admin.send(f"/{token}", body)
        await running.admin.revoke_key(created.key.name)
        await refused(running.admin, token)

    calls = [line for line in running.process.log if line["event"] == "call"]
    assert len(calls) > lines
    secret = token.rpartition("_")[2][12:]
    pieces = [secret[at : at + 8] for at in range(len(secret) - 8)]
    assert_no_secret_in(running.process.raw, token, half, "correct-horse", *pieces)
    assert not running.process.printed


async def test_the_check_for_leaks_finds_what_it_is_for(service: Service) -> None:
    """A test of the tests: an error with a word of the inside in it does not pass."""
    for inside in (
        'Traceback (most recent call last): File "x", line 3',
        "asyncpg.exceptions.UniqueViolationError",
        'duplicate key value violates unique constraint "user_id_unique"',
        "SELECT 1 FROM keywright.key WHERE id = $1",
        "KeyError: 'x'",
        "cannot open /usr/lib/keywright/domain/keys.py",
        "no such file: '/srv/keywright/x'",
        "<keywright.domain.keys.Key object at 0x7f>",
    ):
        error = await refused(service.admin, "no token")
        assert_tells_nothing_of_the_inside(error)
        error.message = inside
        with pytest.raises(AssertionError):
            assert_tells_nothing_of_the_inside(error)
        error.message = ""
    with pytest.raises(AssertionError):
        assert_no_secret_in([f"presented: {service.admin_token}"])
    assert essence(await refused(service.admin, "a")) == essence(await refused(service.admin, "b"))
