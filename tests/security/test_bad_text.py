"""NUL and other control characters, and a mebibyte of text, in every field of every method."""

from typing import Any

import pytest
from google.protobuf.message import Message

from tests.security.contract import (
    IMPLEMENTED,
    Place,
    entitled,
    good_request,
    new_id,
    text_places,
)
from tests.security.operated import Operated
from tests.support.service import PARENT, RefusedError

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
READ = [each for each in PLACES if not each.ignored]
# Prose may have lines.
PROSE = {
    "role.description",
    "workspace.permission_catalog.entries.description",
    "source",
    "user_agent",
}


def reasons(place: Place) -> set[str]:
    """How hostile text is refused; mostly as no value that the field can have."""
    if place.is_condition:
        return {"ETAG_MISMATCH", "FIELD_INVALID"}
    if place.method.is_open and place.path == "token":
        return {"FIELD_INVALID"}
    return {
        "token": {"TOKEN_MALFORMED"},
        "key_token": {"TOKEN_MALFORMED", "FIELD_INVALID"},
        "link_token": {"SESSION_LINK_INVALID", "FIELD_INVALID"},
        "openid_connect.id_token": {"SESSION_ID_TOKEN_INVALID", "FIELD_INVALID"},
        "openid_connect.nonce": {"SESSION_ID_TOKEN_INVALID", "FIELD_INVALID"},
        "signed_request.signature_base": {"FIELD_UNIMPLEMENTED"},
        "signed_request.signature": {"FIELD_UNIMPLEMENTED"},
        "page_token": {"PAGE_TOKEN_INVALID", "FIELD_INVALID"},
    }.get(place.path, {"FIELD_INVALID"})


def is_harmless(place: Place, what: str) -> bool:
    """Whether that text may stand there."""
    # What is reported as a leaked token may be anything that is not too long.
    unread = place.unread or (place.method.is_open and place.path == "token")
    return (unread and len(HOSTILE[what]) < 100) or (place.path in PROSE and what == "a line break")


@pytest.mark.parametrize("place", READ, ids=str)
async def test_hostile_text_is_refused_and_its_field_named(service: Operated, place: Place) -> None:
    request = await good_request(service, place.method)
    for what, text in HOSTILE.items():
        if is_harmless(place, what):
            continue
        hostile = place.method.request_type()
        hostile.CopyFrom(request)
        place.put(hostile, text)

        with pytest.raises(RefusedError) as refused:
            await entitled(service, place.method).send(
                place.method.path, hostile.SerializeToString()
            )

        assert refused.value.reason in reasons(place), what
        if refused.value.code.name == "INVALID_ARGUMENT":
            assert place.is_told(refused.value.fields), what


@pytest.mark.parametrize("place", [each for each in PLACES if each.ignored or each.unread], ids=str)
async def test_hostile_text_where_the_server_does_not_read_does_no_harm(
    service: Operated, place: Place
) -> None:
    for what, text in HOSTILE.items():
        if not (place.ignored or is_harmless(place, what)):
            continue
        request = await good_request(service, place.method)
        place.put(request, text)

        caller = entitled(service, place.method)
        told: Any = await caller.do(place.method.name, **given(request))

        for step in place.steps:
            told = getattr(told, step.name, None)  # a reply need not have it
        assert told != text


def given(request: Message) -> dict[str, Any]:
    """The fields of a request."""
    return {field.name: value for field, value in request.ListFields()}


async def test_prose_may_have_lines(service: Operated) -> None:
    text = "What it is for:\n\tto read.\r\nNothing else."
    role = {"description": text, "permissions": ["datasets.read"]}
    made = await service.admin.do("CreateRole", parent=PARENT, role_id=new_id(), role=role)
    assert made.role.description == text
    entry = {"permission": "datasets.read", "description": text}
    workspace = {"permission_catalog": {"entries": [entry]}}
    made = await service.operator.do("CreateWorkspace", workspace_id=new_id(), workspace=workspace)
    assert made.workspace.permission_catalog.entries[0].description == text
