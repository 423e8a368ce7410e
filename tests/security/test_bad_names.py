"""Names of resources that cannot be, and of resources that are not."""

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.security.contract import Place, entitled, good_request, named_places
from tests.security.operated import Operated
from tests.support.service import PARENT, RefusedError

GOOD = {
    "Workspace": PARENT,
    "User": f"{PARENT}/users/nobody",
    "Key": f"{PARENT}/keys/nothing",
    "Role": f"{PARENT}/roles/nothing",
    "Session": f"{PARENT}/sessions/nothing",
    "Grant": f"{PARENT}/grants/nothing",
    "AuditEvent": f"{PARENT}/auditEvents/999999999",
    "AuditSeal": f"{PARENT}/auditSeals/999999999",
}
every_place = pytest.mark.parametrize("place", named_places(), ids=str)


def malformed(kind: str) -> list[str]:
    """Names that no resource of this kind can have."""
    good = GOOD[kind]
    parent, _, last = good.rpartition("/")
    bad_ids = [
        *(
            "",
            "..",
            ".",
            "*",
            "-",
            "-a",
            "a-",
            "a_b",
            "a b",
            "a" * 64,
            "ünï",
            "%2e%2e",
            "%00",
            "\uff10",
        ),
        *("a\u200b", "\u202ea", "a?b", "a#b", "a:revoke", "a\\b", "'; --", "{user}"),
        *("@", "a@", "@b", "a@b@c", "a b@c", "a@b\u2028c", f"a@{'b' * 254}", f"{'a' * 65}@b"),
    ]
    return [
        *(f"{parent}/{each}" for each in bad_ids),
        *(good.replace("default", each) for each in (*bad_ids, "Default", "a@b.example")),
        *(last, parent, f"{good}/", f"/{good}", f"{good}/more", f"{good}/keys/k", f"{good}//"),
        *(good.replace("/", "//"), good.replace("/", "\\"), good.upper(), good.title()),
        *(f"//keywright.dev/{good}", f"https://keywright.dev/{good}", f" {good}", f"{good} "),
        *(f"{good}\n", f"{good}?x=y", f"{good}@v1", good.replace("workspaces", "projects")),
        *(each for other, each in GOOD.items() if other != kind),
    ]


@every_place
async def test_a_name_that_cannot_be_is_invalid(service: Operated, place: Place) -> None:
    good = await good_request(service, place.method)
    # An e-mail address may stand for a user's id, and this is one.
    names = set(malformed(place.names)) - {f"{GOOD[place.names]}@v1"}
    if place.names == "User":
        names |= {f"{PARENT}/users/Nobody"}
    for name in sorted(names):
        request = place.method.request_type()
        request.CopyFrom(good)
        place.put(request, name)
        with pytest.raises(RefusedError) as refused:
            await entitled(service, place.method).send(
                place.method.path, request.SerializeToString()
            )
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT, name
        assert refused.value.reason == "FIELD_INVALID", name
        assert len(refused.value.fields) == 1, name
        assert place.is_told(refused.value.fields), name


@pytest.mark.parametrize(
    "place", [each for each in named_places() if not each.unchangeable], ids=str
)
async def test_a_name_that_is_nobodys_is_not_found(service: Operated, place: Place) -> None:
    name = GOOD[place.names] if place.names != "Workspace" else "workspaces/nowhere"
    request = await good_request(service, place.method)
    place.put(request, name)
    with pytest.raises(RefusedError) as refused:
        await entitled(service, place.method).send(place.method.path, request.SerializeToString())
    assert refused.value.code is grpc.StatusCode.NOT_FOUND
    assert refused.value.reason == "RESOURCE_NOT_FOUND"
    assert refused.value.info.metadata["resource"] == name
    assert refused.value.detail(error_details_pb2.ResourceInfo).resource_name == name


@pytest.mark.parametrize(
    "place",
    [each for each in named_places() if each.is_required or each.identifies],
    ids=str,
)
async def test_a_name_that_is_required_cannot_be_left_out(service: Operated, place: Place) -> None:
    request = await good_request(service, place.method)
    place.put(request, "")
    with pytest.raises(RefusedError) as refused:
        await entitled(service, place.method).send(place.method.path, request.SerializeToString())
    assert refused.value.reason == "FIELD_INVALID"
    assert len(refused.value.fields) == 1
    assert place.is_told(refused.value.fields)
