"""Bad input in the items of an import: told beside the item, and never the whole call's."""

from typing import Any

import pytest

from keywright.v1 import key_service_pb2 as pb
from tests.security.contract import METHODS, Place, import_of, new_id, places_of
from tests.security.operated import Operated
from tests.security.stored import stored
from tests.security.test_bad_text import HOSTILE
from tests.support.imported import reasons
from tests.support.service import PARENT

(METHOD,) = [method for method in METHODS if method.name == "ImportKeys"]
ITEM: Any = pb.ImportItem.DESCRIPTOR
PLACES = list(places_of(METHOD, ITEM, ()))
# Nothing is compared with it where there is no earlier version.
READ = [place for place in PLACES if not (place.ignored or place.is_condition)]
OTHER = "workspaces/elsewhere"


def good_item() -> pb.ImportItem:
    return pb.ImportItem(**import_of({})["items"][0])


async def outcome(service: Operated, *items: pb.ImportItem) -> pb.ImportKeysResponse:
    fields = import_of({})
    return await service.admin.do("ImportKeys", **{**fields, "items": items})


@pytest.mark.parametrize("place", READ, ids=str)
async def test_hostile_text_fails_its_item_and_no_other(service: Operated, place: Place) -> None:
    for what, text in HOSTILE.items():
        hostile = good_item()
        place.put(hostile, text)
        reply = await outcome(service, good_item(), hostile, good_item())
        assert reasons(reply) == ["", "FIELD_INVALID", ""], what
        error = reply.results[1].error
        assert place.steps[-1].name in error.message, what
        assert len(error.message) <= 600


@pytest.mark.parametrize("place", [each for each in PLACES if each.ignored], ids=str)
async def test_what_a_key_only_shows_is_not_read(service: Operated, place: Place) -> None:
    item = good_item()
    place.put(item, "a\0b")
    reply = await outcome(service, item)
    assert reasons(reply) == [""]
    told: Any = reply.results[0]
    for step in place.steps:
        told = getattr(told, step.name)
    assert told != "a\0b"


@pytest.mark.parametrize("place", [each for each in READ if each.names], ids=str)
async def test_what_is_foreign_fails_as_what_is_missing(service: Operated, place: Place) -> None:
    """Who is named may be of the caller's workspace only (promise G8)."""
    kind = {"User": "users/admin", "Role": "roles/member"}[place.names]
    missing = {"User": "users/nobody", "Role": "roles/none"}[place.names]
    for name in (f"{OTHER}/{kind}", f"workspaces/system/{kind}", f"{PARENT}/{missing}"):
        item = good_item()
        place.put(item, name)
        before = await stored(service)
        (result,) = (await outcome(service, item)).results
        assert result.error.message == (f"{name} was not found, or you may not see it")
        assert await stored(service) == before


async def test_an_item_with_a_field_of_a_newer_client_fails(service: Operated) -> None:
    """It may be one that narrows the key."""
    unknown = b"\xfa\x07\x01x"  # field 127
    for item in (good_item(), good_item()):
        item.key.display_name = new_id()
        item.key.MergeFromString(unknown)
        assert reasons(await outcome(service, item)) == ["FIELD_UNIMPLEMENTED"]
    item = good_item()
    item.MergeFromString(unknown)
    assert reasons(await outcome(service, item)) == ["FIELD_UNIMPLEMENTED"]
