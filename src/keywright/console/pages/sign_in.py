"""Signing in by a link or a key, and out again."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from keywright.console.config import SignIn
from keywright.console.cookies import BEFORE_SIGN_IN, SESSION
from keywright.console.forms import TOKEN
from keywright.console.routing import page, public_page
from keywright.console.troubles import SIGN_IN
from keywright.console.visit import PersonVisit, Visit, local, session_of
from keywright.sdk import (
    FailedPrecondition,
    InvalidArgument,
    KeywrightError,
    PermissionDenied,
    Secret,
    SignedIn,
    TokenLost,
    Unauthenticated,
)

Redeem = Callable[[Visit, str], Awaitable[SignedIn]]
_SIGNED_OUT = f"{SIGN_IN}?signed_out=1"
_NOT_OURS_TO_SAY = "This does not sign anybody in: it is unknown, or it does not stand any more."
_WHY = {
    "SESSION_LINK_INVALID": "This link was used already, or it is too old: they sign in once, "
    "within 5 minutes. Ask for another one.",
    "KEY_EXPIRED": "This key has expired.",
    "KEY_REVOKED": "This key was revoked.",
    "KEY_DISABLED": "This key is disabled.",
    "USER_DISABLED": "This user is disabled. An administrator can enable it again.",
    "WORKSPACE_DISABLED": "This workspace is disabled.",
    "AUTHORITY_EXCEEDED": "This key may do less than its user, by a role, scopes, a resource or "
    "networks. Only one that takes nothing away signs in.",
    "STATE_CONFLICT": "This is the key of a program. People sign in here.",
    "SESSION_USER_UNKNOWN": "Nobody here has this identity. Ask an administrator to add you.",
}


async def _show(visit: Visit) -> Response:
    return shown(visit)


def shown(visit: Visit, status: int = HTTPStatus.OK) -> Response:
    """The page with the ways to sign in."""
    config = visit.console.config
    target = local(visit.form.text("next"))
    return visit.page(
        "sign_in.html",
        status,
        next=target,
        query=urlencode({"next": target}),
        by_key=SignIn.KEY in config.sign_in,
        by_link=SignIn.LINK in config.sign_in,
        provider=config.openid_connect,
    )


async def _by_key(visit: Visit) -> Response:
    return await _sign_in(visit, SignIn.KEY, _redeem_key, shown)


async def _show_link(visit: Visit) -> Response:
    return _link_shown(visit)


def _link_shown(visit: Visit, status: int = HTTPStatus.OK) -> Response:
    return visit.page("sign_in_link.html", status, next=local(visit.form.text("next")))


async def _by_link(visit: Visit) -> Response:
    return await _sign_in(visit, SignIn.LINK, _redeem_link, _link_shown)


async def _redeem_key(visit: Visit, token: str) -> SignedIn:
    return await visit.console.anonymous.sessions.sign_in_by_key(
        token, client_address=visit.address, user_agent=visit.user_agent
    )


async def _redeem_link(visit: Visit, token: str) -> SignedIn:
    return await visit.console.anonymous.sessions.sign_in_by_link(
        token, client_address=visit.address, user_agent=visit.user_agent
    )


async def _sign_in(
    visit: Visit,
    way: SignIn,
    redeem: Redeem,
    again: Callable[[Visit, int], Response],
) -> Response:
    token = visit.form.text(TOKEN)
    if way not in visit.console.config.sign_in:
        visit.form.fail("", "This way to sign in is switched off here.")
        return again(visit, HTTPStatus.FORBIDDEN)
    if not token:
        visit.form.fail(TOKEN, "Nothing was entered.")
        return again(visit, HTTPStatus.BAD_REQUEST)
    if too_often := refused_for_now(visit, again):
        return too_often
    try:
        signed_in = await redeem(visit, token)
    except (
        Unauthenticated,
        PermissionDenied,
        FailedPrecondition,
        InvalidArgument,
        TokenLost,
    ) as error:
        visit.form.fail(TOKEN, why(error))
        return again(visit, HTTPStatus.FORBIDDEN)
    return await begin(visit, signed_in, local(visit.form.text("next")))


def why(error: KeywrightError) -> str:
    """Why somebody could not sign in."""
    if isinstance(error, TokenLost):
        return "The reply was lost on its way. Sign in once more."
    return _WHY.get(error.reason, _NOT_OURS_TO_SAY)


def refused_for_now(visit: Visit, again: Callable[[Visit, int], Response]) -> Response | None:
    """Count an attempt to sign in; the answer to one too many."""
    wait = visit.console.attempts.wait_seconds(visit.address)
    if not wait:
        return None
    visit.form.fail("", f"Too many attempts from your address. Try again in {wait + 1:.0f} s.")
    response = again(visit, HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["retry-after"] = f"{wait + 1:.0f}"
    return response


async def begin(
    visit: Visit, signed_in: SignedIn, target: str, *, by_page: bool = False
) -> Response:
    """Go on as who has signed in: with the new session, and no other.

    A session that the browser had is ended: whoever knows it, who may have planted it there,
    learns nothing of what is done from now on.
    """
    before = session_of(visit.console, visit.request)
    if before is not None:
        await _end(visit, before)
    visit.cookies.clear()
    visit.cookies.append((SESSION, signed_in.token))
    response = visit.page("continue.html", target=target) if by_page else visit.redirect(target)
    BEFORE_SIGN_IN.drop(response, is_secure=visit.console.config.is_secure)
    return response


async def _end(visit: Visit, session: Secret) -> None:
    client = visit.console.anonymous.acting_with(session)
    try:
        me = await client.whoami()
        await client.sessions.revoke(me.credential.name, wait=False)
    except KeywrightError:
        return  # it had ended, or its end is near: nothing that must keep somebody from signing in


async def _sign_out(visit: PersonVisit) -> Response:
    await visit.client.sessions.revoke(visit.me.credential.name)
    response = visit.redirect(_SIGNED_OUT)
    SESSION.drop(response, is_secure=visit.console.config.is_secure)
    return response


async def _show_sign_out(visit: PersonVisit) -> Response:
    return visit.page("sign_out.html")


PAGES = (
    public_page(SIGN_IN, _show),
    public_page(f"{SIGN_IN}/key", _show, _by_key),
    public_page(f"{SIGN_IN}/link", _show_link, _by_link),
    page("/sign-out", _show_sign_out, _sign_out),
)
