"""Update masks: what cannot be changed is refused by name, and nothing at all is changed."""

from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from keywright.wire import masks
from keywright.wire.rpc import Method
from tests.security.contract import IMPLEMENTED, behaviors, entitled, good_request
from tests.security.operated import Operated
from tests.security.patched import in_process
from tests.security.stored import stored
from tests.support.service import Caller, refusal

UPDATES = [method for method in IMPLEMENTED if method.name.startswith("Update")]
every_update = pytest.mark.parametrize("method", UPDATES, ids=lambda each: each.name)
_FIXED = {
    field_behavior_pb2.OUTPUT_ONLY,
    field_behavior_pb2.IDENTIFIER,
    field_behavior_pb2.IMMUTABLE,
}
# Spellings of a field that are none; `{0}` is the resource.
NONSENSE = [
    *("nonsense", "", " ", ".", "..", "*.*", "**", "* ", "%", "_", "name.*", "/", "\\"),
    *("display_name ", " display_name", "Display_name", "displayName", "DISPLAY_NAME"),
    *("display_name.", ".display_name", "display_name.x", "display_name,labels", "labels.a"),
    *("labels[a]", 'labels["a"]', "scopes[0]", "scopes.0", "display\u200b_name", "1", "2"),
    *("{0}", "{0}.display_name", "{0}.*", "update_mask", "wait", "request_id"),
    *("policy.nonsense", "policy.", "policy.*", "permission_catalog.entries"),
    *("rate_limit.requests", "expire_time.seconds", "x" * 10_000, "x." * 2_000),
]


def resource(method: Method) -> FieldDescriptor:
    """The field of the request that has the resource."""
    message: Any = method.request_type.DESCRIPTOR
    return next(field for field in message.fields if field.message_type is not None)


def fields(method: Method, *, changeable: bool) -> list[str]:
    """The fields of the resource that the contract lets a call change, or those that it does not.

    An etag is a condition, not a value.
    """
    message: Any = resource(method).message_type
    return [
        field.name
        for field in message.fields
        if changeable is not (field.name == "etag" or bool(_FIXED.intersection(behaviors(field))))
    ]


async def updated(caller: Caller, method: Method, request: Any, *paths: str) -> Any:
    given = {field.name: value for field, value in request.ListFields()}
    return await caller.do(method.name, **{**given, "update_mask": {"paths": paths}})


async def assert_refused(service: Operated, method: Method, bad: list[list[str]]) -> None:
    """None of these masks is taken, and none changes anything."""
    caller, request = entitled(service, method), await good_request(service, method)
    before = await stored(service)
    for paths in bad:
        error = await refusal(updated(caller, method, request, *paths))
        assert error.code.name == "INVALID_ARGUMENT", paths
        assert error.reason == "FIELD_INVALID", paths
        assert error.fields == ["update_mask"], paths
    assert await stored(service) == before


@every_update
async def test_what_does_not_change_is_refused_by_name(service: Operated, method: Method) -> None:
    fixed = fields(method, changeable=False)
    assert {"name", "etag", "create_time", "update_time"} <= set(fixed)
    await assert_refused(
        service,
        method,
        [
            *([field] for field in fixed),
            *(["display_name", field] for field in fixed),
            *([field, "display_name"] for field in fixed),
        ],
    )


@every_update
async def test_a_mask_of_what_is_no_field_is_refused(service: Operated, method: Method) -> None:
    nonsense = [each.replace("{0}", resource(method).name) for each in NONSENSE]
    await assert_refused(
        service,
        method,
        [*([each] for each in nonsense), *(["display_name", each] for each in nonsense)],
    )
    await assert_refused(service, method, [[f"unknown_{each}" for each in range(1_000)]])


@every_update
async def test_everything_is_named_alone(service: Operated, method: Method) -> None:
    changeable = fields(method, changeable=True)
    await assert_refused(
        service,
        method,
        [
            *(["*", field] for field in changeable),
            *([field, "*"] for field in changeable),
            ["*", "nonsense"],
            ["*", "name"],
        ],
    )


@every_update
async def test_an_update_that_says_nothing_is_refused(service: Operated, method: Method) -> None:
    """Also one that names what cannot be changed: it would change nothing, and say that it did."""
    caller = entitled(service, method)
    request: Any = await good_request(service, method)
    whole = getattr(request, resource(method).name)
    name, kind = whole.name, type(whole)
    before = await stored(service)
    for said in ({"name": name}, {"name": name, "create_time": {"seconds": 1}}):
        for mask in (None, FieldMask()):
            given = {resource(method).name: kind(**said), "update_mask": mask}
            error = await refusal(caller.do(method.name, **given))
            assert error.reason == "FIELD_INVALID"
            assert error.fields == ["update_mask"]
    assert await stored(service) == before


@every_update
async def test_what_was_read_can_be_written_back_and_changes_nothing(
    service: Operated, method: Method
) -> None:
    """Output-only fields and all, by a mask of each field, of all, and without one."""
    caller = entitled(service, method)
    reply = await updated(caller, method, await good_request(service, method))
    read = getattr(reply, resource(method).name)
    before = await stored(service)
    for paths in ([], ["*"], *([each] for each in fields(method, changeable=True))):
        request = method.request_type(**{resource(method).name: read})
        again = await updated(caller, method, request, *paths)
        assert getattr(again, resource(method).name) == read, paths
    assert await stored(service) == before


async def test_a_server_that_passes_over_unknown_paths_is_found_out(
    service: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: a path that is no field is left out of the mask."""
    below = masks._below

    def known(path: str, changeable: frozenset[str]) -> frozenset[str]:
        try:
            return below(path, changeable)
        except Exception:  # noqa: BLE001  the bug is that whatever it says is not heard
            return frozenset()

    monkeypatch.setattr(masks, "_below", known)
    async with in_process(service) as patched:
        for method in UPDATES:
            with pytest.raises(AssertionError):
                await assert_refused(patched, method, [["nonsense"]])
            with pytest.raises(AssertionError):
                await assert_refused(patched, method, [["display_name", "name"]])
