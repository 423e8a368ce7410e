"""A mutation that is repeated with its `request_id` is told what came of it, and not done again."""

from typing import Any

import grpc
import pytest

from keywright.wire.rpc import Method
from tests.security.contract import IMPLEMENTED, entitled, good_request, new_id
from tests.security.operated import Operated
from tests.security.stored import stored
from tests.support.service import METHODS, Caller, refusal

MUTATIONS = [
    method
    for method in IMPLEMENTED
    if "request_id" in method.request_type.DESCRIPTOR.fields_by_name
]
# A retry is told where the history stands by then, that it is one, and for how long it waited
# itself; a token is shown once.
SHOWN_ONCE = ("token", "link_token")
DIFFERS = ("revision", "replayed", "waited", *SHOWN_ONCE)

every_mutation = pytest.mark.parametrize("method", MUTATIONS, ids=lambda each: each.name)


async def send(caller: Caller, method: Method, request: Any) -> Any:
    reply_type = METHODS[method.name][2]
    return reply_type.FromString(await caller.send(method.path, request.SerializeToString()))


async def request_with_id(service: Operated, method: Method) -> Any:
    request: Any = await good_request(service, method)
    request.request_id = new_id("request")
    return request


@every_mutation
async def test_a_repetition_gets_the_same_reply_without_the_token_and_changes_nothing(
    service: Operated, method: Method
) -> None:
    caller, request = entitled(service, method), await request_with_id(service, method)
    first = await send(caller, method, request)
    assert not first.replayed
    before = await stored(service)
    again = await send(caller, method, request)
    assert await stored(service) == before
    assert again.replayed
    assert again.revision
    for field in DIFFERS:
        if field in first.DESCRIPTOR.fields_by_name:
            if field in SHOWN_ONCE:
                assert not getattr(again, field)
            first.ClearField(field)
            again.ClearField(field)
    assert again == first


@every_mutation
async def test_the_id_of_another_request_is_refused(service: Operated, method: Method) -> None:
    caller, request = entitled(service, method), await request_with_id(service, method)
    await send(caller, method, request)
    another: Any = await good_request(service, method)
    another.request_id = request.request_id
    if another == request:  # a creation that asks for nothing
        another.key.display_name = "another"
    before = await stored(service)
    refused = await refusal(send(caller, method, another))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "REQUEST_ID_REUSED"
    assert await stored(service) == before
