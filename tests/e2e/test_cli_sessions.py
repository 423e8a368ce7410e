"""The command line against a real server: links, and who has signed in."""

import pytest

from keywright.sdk import Client
from tests.e2e.test_cli import Keywright
from tests.support.service import Service

pytestmark = pytest.mark.slow  # commands, each a process


@pytest.fixture(name="keywright")
def _keywright(service: Service) -> Keywright:
    return Keywright(service.uri, service.admin_token)


async def test_an_admin_makes_a_link_and_ends_what_came_of_it(
    service: Service, keywright: Keywright
) -> None:
    await keywright("users", "create", "gus@example.com", "--user-id", "gus")
    link = await keywright("users", "link", "gus@example.com")
    assert link.err.startswith("It signs in once, until ")
    known = await keywright(
        "users", "link", "gus", "--console", "https://keys.acme.example/", "-o", "json"
    )
    url = f"https://keys.acme.example/sign-in/link?token={known.json['token']}"
    assert known.json["url"] == url
    nowhere = await keywright("users", "link", "gus", "--console", "keys")
    assert (nowhere.code, nowhere.out) == (2, "")
    with Client(service.uri, anonymous=True) as nobody:
        first = nobody.sessions.sign_in_by_link(link.out.strip())
        again = (await keywright("users", "link", "gus", "-o", "json")).json["token"]
        second = nobody.sessions.sign_in_by_link(again)

    gus = keywright.with_token(first.token.reveal())
    listed = await gus("sessions", "list", "-o", "json")
    assert [each["name"] for each in listed.json["sessions"]] == [
        second.session.name,
        first.session.name,
    ]
    shown = (await keywright("sessions", "list", "--user", "gus")).out.splitlines()
    assert shown[0].split()[:3] == ["ID", "USER", "METHOD"]
    assert shown[1].split()[:4] == [second.session.id, "gus@example.com", "LINK", "ACTIVE"]

    revoked = await keywright("sessions", "revoke", first.session.id)
    assert revoked.err == f"Revoked {first.session.name}.\n"
    ended = await gus("whoami", "-o", "json")
    assert (ended.code, ended.error["metadata"]["caller_reason"]) == (3, "SESSION_REVOKED")
    everywhere = await keywright("sessions", "revoke", "--user", "gus", "--yes", "-o", "json")
    assert everywhere.json == {"count": 1}
    over = await keywright("sessions", "list", "--user", "gus", "--state", "revoked", "-o", "json")
    assert len(over.json["sessions"]) == 2
    for wrong in ((), (first.session.id, "--user", "gus")):
        assert (await keywright("sessions", "revoke", *wrong)).code == 2
