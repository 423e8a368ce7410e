"""A change that was decided on an older version is refused, whatever the change (AIP-154)."""

import re
from typing import Any

import pytest

from keywright.service import key_changes, roles, users, workspaces
from tests.security.contract import IMPLEMENTED, Place, entitled, good_request, new_id, text_places
from tests.security.operated import Operated
from tests.security.patched import in_process
from tests.security.stored import stored
from tests.support.service import refusal

ETAGS = [
    place
    for method in IMPLEMENTED
    for place in text_places(method)
    if place.is_condition and not place.unread
]
every_etag = pytest.mark.parametrize("place", ETAGS, ids=str)


def test_every_change_of_what_has_an_etag_takes_one() -> None:
    """Grants never change, so only whoever created one can mean it."""
    changes = re.compile("^(Update|Rotate|Disable|Enable|Revoke|Delete)(Key|User|Role|Workspace)$")
    assert {place.method.name for place in ETAGS} == {
        method.name for method in IMPLEMENTED if changes.match(method.name)
    }


async def assert_changes_no_other_version(service: Operated, place: Place) -> None:
    """A stale etag and one that never was are refused; the one of today is not."""
    caller, method = entitled(service, place.method), place.method.name
    kind = re.sub("^[A-Z][a-z]+", "", method)
    request: Any = await good_request(service, place.method)
    name = getattr(request, kind.lower()).name if method.startswith("Update") else request.name
    stale = getattr(await caller.do(f"Get{kind}", name=name), kind.lower()).etag
    renamed = {kind.lower(): {"name": name, "display_name": new_id("renamed")}}
    now = getattr(await caller.do(f"Update{kind}", **renamed), kind.lower()).etag
    assert stale != now

    before = await stored(service)
    for etag in (stale, now.upper(), f" {now}", f"{now} ", f'"{now}"', f"W/{now}", f"{now}0", "*"):
        place.put(request, etag)
        error = await refusal(caller.send(place.method.path, request.SerializeToString()))
        assert error.code.name == "ABORTED", etag
        assert error.reason == "ETAG_MISMATCH", etag
    assert await stored(service) == before

    place.put(request, now)
    await caller.send(place.method.path, request.SerializeToString())


@every_etag
async def test_a_change_of_another_version_than_todays_is_refused(
    service: Operated, place: Place
) -> None:
    await assert_changes_no_other_version(service, place)


async def test_a_server_that_does_not_compare_etags_is_found_out(
    service: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: whatever the version, it is taken for the one that is meant."""
    for module in (key_changes, roles, users, workspaces):
        monkeypatch.setattr(module, "check_etag", lambda _etag, _version: None)
    async with in_process(service) as patched:
        for place in ETAGS:
            with pytest.raises(AssertionError):
                await assert_changes_no_other_version(patched, place)
