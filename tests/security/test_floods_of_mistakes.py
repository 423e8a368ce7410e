"""A request with a hundred thousand mistakes costs its sender, and nobody else."""

import asyncio

from keywright.v1 import key_pb2, key_service_pb2
from tests.support.service import PARENT, Caller, Service, refusal


async def test_others_are_answered_while_a_request_full_of_mistakes_is_refused(
    service: Service,
) -> None:
    request = key_service_pb2.CreateKeyRequest(
        parent=PARENT, key=key_pb2.Key(scopes=["!"] * 1_000_000)
    )
    caller: Caller = service.admin
    async with asyncio.timeout(15):
        refused_call = asyncio.create_task(refusal(caller.keys("CreateKey", request)))
        answers = await asyncio.gather(
            *(caller.authenticate(service.admin_token) for _ in range(5))
        )
        refused = await refused_call
    assert refused.reason == "FIELD_INVALID"
    assert all(answer.user.email == "admin@localhost" for answer in answers)


async def test_every_mistake_of_a_short_request_is_named(service: Service) -> None:
    refused = await refusal(service.admin.create_key(display_name="x" * 201, scopes=["!"]))
    assert refused.fields == ["key.display_name", "key.scopes[0]"]
