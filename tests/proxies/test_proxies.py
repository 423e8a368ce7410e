"""Through each proxy, with the configuration that we ship: who gets through, and as whom."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxies.attempts import ATTEMPTS, SECRET_PATH, wrongs
from tests.proxies.conftest import LEASE
from tests.proxies.frames import framed_wrongs
from tests.proxies.fronts import Front, front
from tests.support.database import Cluster
from tests.support.planted import SOURCE
from tests.support.proxies import PROXIES
from tests.support.service import Service, another, service
from tests.support.sidecar import Answer
from tests.support.spoofs import IDENTITY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def identity(front: Front) -> dict[str, str]:
    """The identity that the application has received last; what is missing is empty."""
    _, _, headers = front.application.received[-1]
    told = {name.lower(): value for name, value in headers}
    return {name: told.get(name, "") for name in IDENTITY}


@pytest.fixture(scope="module", name="reader")
async def _reader(hub: Service) -> str:
    """A token that may read projects."""
    user = await hub.admin.create_user("reader")
    created = await hub.admin.create_key(key_id="reader", user=user.name, scopes=["projects.read"])
    return created.token


async def test_a_key_gets_through_as_its_user(through: Front, reader: str) -> None:
    answer = await through.ask(token=reader)
    assert answer.status == 200
    assert identity(through) == {
        "x-keywright-user": "workspaces/default/users/reader",
        "x-keywright-email": "reader@example.com",
        "x-keywright-workspace": "workspaces/default",
        "x-keywright-role": "",
        "x-keywright-permissions": "projects.read",
        "x-keywright-credential": "workspaces/default/keys/reader",
    }
    assert not any(reader in value for _, value in through.application.received[-1][2])


async def test_the_role_of_a_key_that_is_not_narrowed_gets_through(through: Front) -> None:
    created = await through.service.admin.create_key()
    assert (await through.ask(token=created.token)).status == 200
    assert identity(through)["x-keywright-role"] == "workspaces/default/roles/admin"


async def test_who_has_many_permissions_gets_through_with_all_of_them(through: Front) -> None:
    scopes = ["projects.read", *(f"projects.n{number:061}" for number in range(99))]
    created = await through.service.admin.create_key(scopes=scopes)
    assert (await through.ask(token=created.token)).status == 200
    assert sorted(identity(through)["x-keywright-permissions"].split(",")) == sorted(scopes)


async def test_who_has_more_permissions_than_a_header_takes_is_told_so(through: Front) -> None:
    scopes = ["projects.read", *(f"projects.n{number:0111}" for number in range(99))]
    created = await through.service.admin.create_key(scopes=scopes)
    answer = await through.ask(token=created.token)
    # Not 503: it would be the same when it is tried again.
    assert (answer.status, reason(answer)) == (500, "IDENTITY_TOO_LARGE")


async def test_what_is_public_is_reached_by_nobody_in_particular(through: Front) -> None:
    assert (await through.ask("/public/x")).status == 200
    assert identity(through) == dict.fromkeys(IDENTITY, "")


def reason(answer: Answer) -> Any:
    assert dict(answer.headers)["content-type"] == "application/json"
    return answer.error["reason"]


async def test_denials_reach_the_client_with_status_reason_and_challenge(
    through: Front, reader: str
) -> None:
    before = len(through.application.received)
    missing = await through.ask()
    assert (missing.status, reason(missing)) == (401, "CREDENTIAL_MISSING")
    assert missing["www-authenticate"] == 'Bearer realm="keywright"'
    unknown = await through.ask(token="kw_live_nonsense")
    assert (unknown.status, reason(unknown)) == (401, "TOKEN_MALFORMED")
    assert 'error="invalid_token"' in unknown["www-authenticate"]
    lacking = await through.ask(SECRET_PATH, token=reader)
    assert (lacking.status, reason(lacking)) == (403, "PERMISSION_MISSING")
    assert 'error="insufficient_scope"' in lacking["www-authenticate"]
    no_route = await through.ask("/elsewhere", token=reader)
    assert (no_route.status, reason(no_route)) == (403, "NO_ROUTE")
    doubled = await through.ask("/projects/abc", ("X-Api-Key", reader), token=reader)
    assert (doubled.status, reason(doubled)) == (400, "CREDENTIAL_REFUSED")
    assert len(through.application.received) == before


async def test_a_key_that_is_used_too_often_is_told_when_to_come_again(through: Front) -> None:
    created = await through.service.admin.create_key(
        rate_limit={"requests": 1, "period": {"seconds": 60}}
    )
    assert (await through.ask(token=created.token)).status == 200
    answer = await through.ask(token=created.token)
    assert (answer.status, reason(answer)) == (429, "RATE_LIMITED")
    assert 1 <= int(answer["retry-after"]) <= 60


async def test_a_revoked_key_is_denied_at_the_next_request(through: Front) -> None:
    for _ in range(5):
        created = await through.service.admin.create_key()
        assert (await through.ask(token=created.token)).status == 200
        await through.service.admin.revoke_key(created.key.name)
        answer = await through.ask(token=created.token)
        assert (answer.status, reason(answer)) == (401, "KEY_REVOKED")


async def test_no_attempt_reaches_the_application_as_somebody_else_or_where_it_may_not(
    through: Front, reader: str
) -> None:
    assert len(ATTEMPTS) >= 50
    found = []
    for attempt in ATTEMPTS:
        found += [f"{attempt}: {each}" for each in await wrongs(through, attempt, reader, "reader")]
    assert found == []


@pytest.mark.parametrize("by", ["grpc", "envoy"])
async def test_no_attempt_in_http2_reaches_the_application_as_somebody_else(
    by: str, hub: Service, sidecars_token: str, reader: str, tmp_path: Path
) -> None:
    async with front("envoy", hub, sidecars_token, tmp_path, answered_by=by) as through:
        assert await framed_wrongs(through, reader, "reader") == []
        assert len(through.application.received) > 100, "hardly anything was understood"
        assert (await through.ask(token=reader)).status == 200, "it answers still"


# What makes each proxy overwrite, taken out of its configuration.
WITHOUT_OVERWRITING = {
    "nginx": (r"proxy_set_header X-Keywright-\w+ \$keywright_\w+;", ""),
    "traefik": (r"(?m)^ +(authResponseHeaders:|- X-Keywright-\w+)\n", ""),
    "caddy": (r"(?m)^\t+(request_header -X-Keywright-\*|copy_headers .*)\n", ""),
}


@pytest.mark.parametrize("name", sorted(WITHOUT_OVERWRITING))
async def test_the_attempts_are_noticed_where_nothing_is_overwritten(
    name: str, hub: Service, sidecars_token: str, reader: str, tmp_path: Path
) -> None:
    async with front(name, hub, sidecars_token, tmp_path, WITHOUT_OVERWRITING[name]) as careless:
        found = []
        for attempt in ATTEMPTS:
            found += await wrongs(careless, attempt, reader, "reader")
    assert any("x-keywright-user is" in each for each in found)


async def test_the_attempts_are_noticed_where_envoy_is_not_told_of_empty_headers(
    hub: Service,
    sidecars_token: str,
    reader: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(SOURCE, tmp_path / "patched" / "keywright")
    file = tmp_path / "patched" / "keywright" / "sidecar" / "envoy.py"
    # Envoy overwrites whatever it is told of; the mistake is not to tell it of all.
    guard = "in decision.headers:\n            option = changes"
    assert guard in file.read_text()
    told = guard.replace("decision.headers", "[each for each in decision.headers if each[1]]")
    file.write_text(file.read_text().replace(guard, told))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "patched"))
    async with front("envoy", hub, sidecars_token, tmp_path) as careless:
        found = []
        for attempt in ATTEMPTS:
            found += await wrongs(careless, attempt, reader, "reader")
        framed = await framed_wrongs(careless, reader, "reader")
    for wrong in (found, framed):
        assert any("x-keywright-user is" in each for each in wrong)


@pytest.fixture(name="own")
async def _own(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **LEASE) as started:
        yield started


@pytest.mark.parametrize("name", PROXIES)
async def test_the_loss_of_the_server_is_bridged_for_the_lease_and_then_503(
    name: str, own: Service, tmp_path: Path
) -> None:
    token = (await own.person("sidecar", "authenticator")).token
    assert token is not None
    async with front(name, own, token, tmp_path) as through:
        assert (await through.ask(token=own.admin_token)).status == 200
        await own.process.stop(signal.SIGKILL)
        assert (await through.ask(token=own.admin_token)).status == 200
        await through.sidecar.becomes(503)
        answer = await through.ask(token=own.admin_token)
        assert (answer.status, reason(answer)) == (503, "UNAVAILABLE")
        assert answer["retry-after"] == "1"
        assert (await through.ask("/public/x")).status == 200
        async with another(own, listen=own.uri, **LEASE):
            await through.sidecar.ready()
            assert (await through.ask(token=own.admin_token)).status == 200


@pytest.mark.parametrize("name", PROXIES)
async def test_without_its_sidecar_a_proxy_lets_nobody_through(
    name: str, hub: Service, sidecars_token: str, tmp_path: Path
) -> None:
    async with front(name, hub, sidecars_token, tmp_path) as through:
        before = len(through.application.received)
        await through.sidecar.process.stop()
        answers = await asyncio.gather(through.ask(token=hub.admin_token), through.ask("/public/x"))
        assert all(answer.status >= 500 for answer in answers)
        assert len(through.application.received) == before
