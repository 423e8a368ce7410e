"""NUL and other control characters, and a mebibyte of text, in every field of every method."""

import pytest

from tests.security.contract import IMPLEMENTED, Place, good_request, text_places
from tests.support.service import RefusedError, Service

HOSTILE = {
    "NUL": "\0",
    "NUL inside": "a\0b",
    "a line break": "a\r\nb: c",
    "a terminal's escape": "\x1b[2J",
    "DEL": "\x7f",
    "a C1 control character": "\x85",
    "1 MiB": "x" * 2**20,
    "1 MiB of four-byte characters": "😀" * 2**18,
}
PLACES = [place for method in IMPLEMENTED for place in text_places(method)]

# Where something else than "this field is invalid" is the right answer.
REASONS = {
    "token": {"TOKEN_MALFORMED"},
    "signed_request.signature_base": {"FIELD_UNIMPLEMENTED"},
    "signed_request.signature": {"FIELD_UNIMPLEMENTED"},
    "page_token": {"PAGE_TOKEN_INVALID", "FIELD_INVALID"},
    "etag": {"ETAG_MISMATCH", "FIELD_INVALID"},
}
# A condition of changes, which the resource in a creation has none of: only its length is bounded.
UNREAD = {"key.etag", "user.etag"}


@pytest.mark.parametrize("place", [each for each in PLACES if not each.ignored], ids=str)
async def test_hostile_text_is_refused_and_its_field_named(service: Service, place: Place) -> None:
    request = await good_request(service, place.method)
    for what, text in HOSTILE.items():
        hostile = place.method.request_type()
        hostile.CopyFrom(request)
        place.put(hostile, text)
        if place.path in UNREAD and len(text) < 100:
            continue

        with pytest.raises(RefusedError) as refused:
            await service.admin.send(place.method.path, hostile.SerializeToString())

        assert refused.value.reason in REASONS.get(place.path, {"FIELD_INVALID"}), what
        if refused.value.code.name == "INVALID_ARGUMENT":
            assert [each for each in refused.value.fields if each.startswith(place.path)], what


@pytest.mark.parametrize(
    "place", [each for each in PLACES if each.ignored or each.path in UNREAD], ids=str
)
async def test_hostile_text_where_the_server_does_not_read_does_no_harm(
    service: Service, place: Place
) -> None:
    services = {"KeyService": service.admin.keys, "UserService": service.admin.users}
    for text in HOSTILE.values():
        request = await good_request(service, place.method)
        place.put(request, text)
        if place.path in UNREAD and len(text) > 100:
            continue

        told = await services[place.method.service](place.method.name, request)

        for step in place.steps:
            told = getattr(told, step.name)
        assert told != text
