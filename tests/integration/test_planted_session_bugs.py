"""The tests of sessions are honest: each goes red on a build that lacks its guard (STYLE, 21)."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration import test_id_tokens, test_sessions
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed
from tests.support.provider import Provider, provider
from tests.support.service import Service

pytestmark = pytest.mark.slow

BUGS = {
    "a link that lets in whoever has it": Bug(
        "storage/sessions.py",
        guard="WHERE id = $1 AND use_time IS NULL AND",
        instead="WHERE id = $1 AND",
        scenario=test_sessions.one_session_of_a_link,
    ),
    "a link that does not end": Bug(
        "storage/sessions.py",
        guard="AND use_time IS NULL AND expire_time > clock_timestamp()",
        instead="AND use_time IS NULL",
        scenario=test_sessions.a_link_that_is_too_old,
    ),
    "a link for whoever may do more": Bug(
        "service/sign_in.py",
        guard="creation.check_sign_in(confirmed.caller, owner)",
        instead="pass",
        scenario=test_sessions.more_than_the_caller,
    ),
    "a session of more than its key": Bug(
        "service/sign_in.py",
        guard="credential.record.narrowing != NO_NARROWING",
        instead="credential is None",
        scenario=test_sessions.narrowed_keys,
    ),
    "a session that nobody takes away with its key": Bug(
        "domain/decision.py",
        guard="for each in (opening,) if each)",
        instead="for each in ())",
        scenario=test_sessions.sessions_end_with_their_keys,
    ),
    "a session that asks nothing of its key": Bug(
        "domain/sessions.py",
        guard=" or self.is_withdrawn",
        instead="",
        scenario=test_sessions.sessions_end_with_their_keys,
    ),
    "a session of whatever token its key has": Bug(
        "storage/sessions.py",
        guard='_END = "least(e.expire_time, k.expire_time, o.not_after)"',
        instead='_END = "e.expire_time"',
        scenario=test_sessions.sessions_end_with_their_keys,
    ),
    "a session that makes of a key that ends one that lasts": Bug(
        "domain/decision.py",
        guard="return self.record.not_after if",
        instead="return None if",
        scenario=test_sessions.nothing_outlives_the_key,
    ),
    "a link that makes of a key that ends a session that lasts": Bug(
        "service/sign_in.py",
        guard="not_after=confirmed.caller.credential.gives_until",
        instead="not_after=None",
        scenario=test_sessions.nothing_outlives_the_key,
    ),
    "sessions without end": Bug(
        "service/opening.py",
        guard="but=SESSIONS_MAX_COUNT - 1",
        instead="but=1000",
        scenario=test_sessions.one_session_too_many,
    ),
    "sessions counted while others come": Bug(
        "service/sign_in.py",
        guard="confirmed = await call.lock(writes)",
        instead="confirmed = await call.confirm(writes)",
        scenario=test_sessions.one_session_too_many,
    ),
    "a session that gives another one": Bug(
        "service/sign_in.py",
        guard="if principal.credential.kind is not ChangeKind.KEY:",
        instead="if False:",
        scenario=test_sessions.a_session_for_a_session,
    ),
    "a revocation that nobody is told of": Bug(
        "service/sessions.py",
        guard="[Change(ChangeKind.SESSION, session)]",
        instead="[]",
        scenario=test_sessions.a_revoked_session_is_dead,
    ),
    "sessions of others": Bug(
        "service/visibility.py",
        guard="or not access.sees_session(call.caller, found.session)",
        instead="",
        scenario=test_sessions.others_sessions,
    ),
    "a session that does not end while nobody uses it": Bug(
        "domain/sessions.py",
        guard="now >= self.idle_expire_time",
        instead="now >= self.expire_time",
        scenario=test_sessions.a_session_that_nobody_uses,
    ),
    "uses that nobody writes": Bug(
        "service/usage_counters.py",
        guard="await self.database.writing(partial(_write_sessions, uses), within=BATCH_PATIENCE)",
        instead="pass",
        scenario=test_sessions.uses_put_off_the_end,
        settings={"usage_interval": "1s"},
    ),
    "a session that caches elsewhere answer for": Bug(
        "wire/rendering.py",
        guard="() if is_session else ",
        instead="",
        scenario=test_sessions.nobody_else_answers,
    ),
    "a sign-in without its event": Bug(
        "service/opening.py",
        guard='action="CreateSession"',
        instead='action="CreateKey"',
        scenario=test_sessions.every_step_has_its_event,
    ),
}
TAKEN_ON_TRUST: dict[str, tuple[str, str, Callable[[Service, Provider], Awaitable[None]]]] = {
    "whatever address a token says": (
        'claims.get("email_verified") is True and ',
        "",
        test_id_tokens.unverified_addresses,
    ),
    "a nonce that nobody compares": (
        'nonce={"essential": True, "value": nonce},',
        "",
        partial(test_id_tokens.no_good, wrong="another nonce"),
    ),
    "tokens for other clients": (
        'aud={"essential": True, "value": self.client_id},',
        "",
        partial(test_id_tokens.no_good, wrong="another client"),
    ),
    "tokens of other providers": (
        'iss={"essential": True, "value": self.issuer},',
        "",
        partial(test_id_tokens.no_good, wrong="another issuer"),
    ),
    "tokens without an end": (
        'exp={"essential": True},',
        "",
        partial(test_id_tokens.no_good, wrong="no end"),
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_build_without_a_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)


@pytest.mark.parametrize("bug", TAKEN_ON_TRUST)
async def test_a_build_that_takes_id_tokens_on_trust_is_found_out(
    bug: str, cluster: Cluster, tmp_path: Path
) -> None:
    guard, instead, scenario = TAKEN_ON_TRUST[bug]
    with provider() as shown:
        planted = Bug(
            "security/id_tokens.py",
            guard=guard,
            instead=instead,
            scenario=lambda running: scenario(running, shown),
        )
        await assert_noticed(planted, cluster, tmp_path, **shown.settings)
