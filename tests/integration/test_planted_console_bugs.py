"""The console's tests are honest: each goes red on a build that lacks its guard (STYLE, 21)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.integration import test_console_guards as guards
from tests.integration import test_console_keys as keys
from tests.integration import test_console_mass_revoke as mass_revoke
from tests.integration import test_console_policy as policy
from tests.integration import test_console_sign_in as sign_in
from tests.support import planted
from tests.support.console import MANY_SIGN_INS, Console, console
from tests.support.service import Service

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Bug:
    """A defect to plant in the console: in `file`, `guard` becomes `instead`."""

    file: str
    guard: str
    instead: str
    scenario: Callable[[Console], Awaitable[None]]


BUGS = {
    "forms without a token": Bug(
        "routing.py",
        "if is_post and not csrf.is_ours(",
        "if False and (",
        guards.forms_that_were_not_shown,
    ),
    "one token for everybody": Bug(
        "csrf.py",
        "hmac.new(cookie.reveal().encode(),",
        'hmac.new(b"all",',
        guards.forms_that_were_not_shown,
    ),
    "one token before anybody signs in": Bug(
        "csrf.py",
        "hmac.new(cookie.reveal().encode(),",
        'hmac.new(b"all",',
        guards.signing_in_as_somebody_else,
    ),
    "forms of any origin": Bug(
        "guards.py",
        'return headers.get("origin", "").lower() == ours.lower()',
        "return True",
        guards.forms_of_other_sites,
    ),
    "forms of who says to be another site": Bug(
        "guards.py",
        'if headers.get("sec-fetch-site") in _OTHERS:',
        "if False:",
        guards.forms_of_other_sites,
    ),
    "any name of a host": Bug(
        "guards.py",
        "if not self._config.is_secure and not _is_this_machines(",
        "if False and (",
        guards.other_names,
    ),
    "pages that caches keep": Bug(
        "guards.py", '"cache-control": "no-store",', "", guards.strict_headers
    ),
    "pages in frames": Bug(
        "guards.py",
        "; \"\n    \"form-action 'self'; frame-ancestors 'none'",
        "",
        guards.strict_headers,
    ),
    "cookies that scripts read": Bug(
        "cookies.py", '"Path=/", "HttpOnly"', '"Path=/"', sign_in.cookies_that_scripts_cannot_read
    ),
    "cookies for other sites": Bug(
        "cookies.py",
        'parts.append(f"SameSite={self.same_site.capitalize()}")',
        "pass",
        sign_in.cookies_that_scripts_cannot_read,
    ),
    "cookies in plain text": Bug(
        "cookies.py", 'parts.append("Secure")', "pass", sign_in.cookies_for_https_only
    ),
    "cookies of any subdomain": Bug(
        "cookies.py", 'f"__Host-{self.name}"', "self.name", sign_in.cookies_for_https_only
    ),
    "a session of before goes on": Bug(
        "pages/sign_in.py", "await _end(visit, before)", "pass", sign_in.a_session_of_before
    ),
    "a look at a link uses it up": Bug(
        "pages/sign_in.py",
        "    return _link_shown(visit)\n",
        "    return await _by_link(visit)\n",
        sign_in.a_link_that_is_looked_at,
    ),
    "other sites after signing in": Bug(
        "visit.py",
        "return target if is_ours else HOME",
        "return target",
        partial(sign_in.only_pages_of_ours, target="//evil.example/"),
    ),
    "keys in cookies": Bug(
        "visit.py",
        "if me.credential.kind is not CredentialKind.SESSION:",
        "if False:",
        sign_in.keys_in_place_of_sessions,
    ),
    "secrets in addresses": Bug(
        "forms.py",
        "frozenset({csrf.FIELD, REQUEST_ID, TOKEN})",
        "frozenset({csrf.FIELD, REQUEST_ID})",
        guards.forms_that_were_not_shown,
    ),
    "attempts without end": Bug(
        "pages/sign_in.py", "    if not wait:\n", "    if True:\n", sign_in.too_many_attempts
    ),
    "a key for each time a form is sent": Bug(
        "pages/key_tokens.py",
        "keys.create(request_id=form.request_id, ",
        "keys.create(",
        keys.one_key_of_a_form,
    ),
    "foreign keys that can be told from missing ones": Bug(
        "troubles.py",
        "    (NotFound, NOT_FOUND),\n",
        "",
        guards.foreign_is_missing,
    ),
    "keys revoked that were not shown": Bug(
        "pages/mass_revoke.py",
        'if found.count and found.mark != form.text("mark"):',
        "if False:",
        partial(mass_revoke.others_than_shown_are_not_revoked, user_id="swapper"),
    ),
    "keys meant that were made after the preview": Bug(
        "pages/mass_revoke.py",
        'matching["unrotated_since"] = min(matching.get("unrotated_since") or seen, seen)',
        "pass",
        partial(mass_revoke.a_key_made_since_is_spared, user_id="maker"),
    ),
    "a policy written over another": Bug(
        "pages/policy.py", 'etag=form.text("etag"), ', "", policy.changed_by_two
    ),
    "pages for who may not use them": Bug(
        "routing.py", "if not any(visit.me", "if False and any(visit.me", policy.only_for_who_may
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_build_without_a_guard_is_found_out(
    bug: Bug, service: Service, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    planted.build(
        planted.Bug(f"console/{bug.file}", bug.guard, bug.instead, lambda _service: _nothing()),
        build,
    )
    async with console(service, tmp_path, MANY_SIGN_INS, PYTHONPATH=str(build)) as patched:
        with pytest.raises(AssertionError):
            await bug.scenario(patched)
        async with patched.browser() as browser:
            assert (await browser.get("/sign-in")).status == 200  # it serves, but for the bug


async def _nothing() -> None: ...
