"""What would end many keys at once by mistake ends none."""

from typing import Any

from google.protobuf.message import Message

from keywright.v1 import key_pb2, key_service_pb2
from tests.security.contract import new_id
from tests.security.operated import Operated
from tests.security.stored import stored
from tests.support.service import PARENT, Caller, RefusedError, refusal

PATH = "/keywright.v1.KeyService/RevokeKeys"
# A field that this server does not know, as a newer client might send it.
UNKNOWN = b"\xf8\x06\x01"


def asking(only: bytes, *, validate_only: bool = False) -> bytes:
    """RevokeKeys with these bytes for a filter."""
    request: Message = key_service_pb2.RevokeKeysRequest(parent=PARENT, validate_only=validate_only)
    return request.SerializeToString() + b"\x12" + bytes([len(only)]) + only


async def revoked(caller: Caller, **only: Any) -> int:
    return int((await caller.do("RevokeKeys", parent=PARENT, filter=only)).count)


async def test_a_filter_that_asks_nothing_revokes_nothing(service: Operated) -> None:
    await service.admin.create_key()
    before = await stored(service)
    empty = {"user": "", "resource": "", "search": "", "states": [], "labels": {}}
    asked: list[dict[str, Any]] = [
        {},
        {"filter": {}},
        {"filter": empty},
        {"filter": {}, "validate_only": True},
    ]
    for fields in asked:
        error = await refusal(service.admin.do("RevokeKeys", parent=PARENT, **fields))
        assert error.reason == "FIELD_INVALID"
        assert error.fields == ["filter"]
    assert await stored(service) == before


async def test_a_filter_that_this_server_does_not_understand_revokes_nothing(
    service: Operated,
) -> None:
    """A newer client means fewer keys than are left if what it says is not heard."""
    await service.admin.create_key(labels={"a": "b"})
    labels = key_pb2.KeyFilter(labels={"a": "b"})
    before = await stored(service)
    for only in (UNKNOWN, UNKNOWN * 3, labels.SerializeToString() + UNKNOWN):
        for validate_only in (False, True):
            body = asking(only, validate_only=validate_only)
            error: RefusedError = await refusal(service.admin.send(PATH, body))
            assert error.reason in {"FIELD_INVALID", "FIELD_UNIMPLEMENTED"}
            assert error.fields == ["filter"] or error.info.metadata["field"] == "filter"
    assert await stored(service) == before


async def test_of_revoked_keys_there_is_nothing_to_revoke(service: Operated) -> None:
    label = {"row": new_id()}
    for _ in range(2):
        name = (await service.admin.create_key(labels=label)).key.name
    await service.admin.revoke_key(name)
    before = await stored(service)
    states = ["KEY_STATE_REVOKED"]
    assert await revoked(service.admin, states=states) == 0
    assert await revoked(service.admin, states=states, labels=label) == 0
    assert await revoked(service.admin, states=states, user=f"{PARENT}/users/admin") == 0
    assert await stored(service) == before
    # The one that is not revoked is among those of a filter that names more states, and only it.
    assert await revoked(service.admin, states=[*states, "KEY_STATE_ACTIVE"], labels=label) == 1
    assert await revoked(service.admin, labels=label) == 0


async def test_a_state_that_is_none_revokes_nothing(service: Operated) -> None:
    before = await stored(service)
    for states in ([0], [99], [1, 0], [1] * 9):
        error = await refusal(revoked(service.admin, states=states))
        assert error.reason == "FIELD_INVALID"
        assert error.fields[0].startswith("filter.states")
    assert await stored(service) == before


async def test_counting_revokes_nothing(service: Operated) -> None:
    label = {"row": new_id()}
    await service.admin.create_key(labels=label)
    before = await stored(service)
    only = {"labels": label}
    counted = await service.admin.do("RevokeKeys", parent=PARENT, filter=only, validate_only=True)
    assert counted.count == 1
    assert await stored(service) == before
