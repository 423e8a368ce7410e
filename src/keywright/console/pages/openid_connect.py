"""Signing in with an OpenID Connect provider."""

import hmac
from http import HTTPStatus

from starlette.responses import Response

from keywright.console.cookies import SIGNING_IN
from keywright.console.pages.sign_in import begin, refused_for_now, shown, why
from keywright.console.provider import Begun, ProviderError
from keywright.console.routing import public_page
from keywright.console.troubles import SIGN_IN
from keywright.console.visit import Visit, local
from keywright.sdk import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    TokenLost,
    Unauthenticated,
    Unimplemented,
)

PATH = f"{SIGN_IN}/openid-connect"
CALLBACK = f"{PATH}/callback"
_AWAY = "The provider cannot be reached, or did not do its part. Try again, or another way."
_NOT_BEGUN = "This sign-in was not begun in this browser, or more than 10 minutes ago. Begin again."


async def _begin(visit: Visit) -> Response:
    provider = visit.console.provider
    if provider is None:
        return visit.redirect(SIGN_IN)
    if too_often := refused_for_now(visit, shown):
        return too_often
    try:
        url, begun = await provider.begin(local(visit.form.text("next")))
    except ProviderError as error:
        return _failed(visit, error)
    visit.cookies.append((SIGNING_IN, begun.packed()))
    return visit.redirect(url)


async def _return(visit: Visit) -> Response:
    """The provider has sent the browser back."""
    console, form = visit.console, visit.form
    is_secure = console.config.is_secure
    begun = Begun.unpack(SIGNING_IN.read(visit.request, is_secure=is_secure))
    if console.provider is None or begun is None:
        return _again(visit, _NOT_BEGUN)
    if not hmac.compare_digest(form.text("state").encode(), begun.state.encode()):
        return _again(visit, _NOT_BEGUN)
    if "error" in form:
        return _again(visit, "The provider did not sign you in.")
    try:
        id_token = await console.provider.redeem(form.text("code"), form.text("iss"), begun)
    except ProviderError as error:
        return _failed(visit, error)
    try:
        signed_in = await console.anonymous.sessions.sign_in_by_id_token(
            id_token,
            nonce=begun.nonce,
            client_address=visit.address,
            user_agent=visit.user_agent,
        )
    except (
        Unauthenticated,
        PermissionDenied,
        FailedPrecondition,
        InvalidArgument,
        TokenLost,
        Unimplemented,
    ) as error:
        return _again(visit, why(error))
    # By a page that leads on, and not by a redirect: on the way from another site the browser would
    # keep the session's cookie to itself (SameSite).
    response = await begin(visit, signed_in, local(begun.next), by_page=True)
    SIGNING_IN.drop(response, is_secure=is_secure)
    return response


def _failed(visit: Visit, error: ProviderError) -> Response:
    visit.console.log.write("provider failed", error=str(error))
    return _again(visit, _AWAY, HTTPStatus.SERVICE_UNAVAILABLE)


def _again(visit: Visit, message: str, status: int = HTTPStatus.FORBIDDEN) -> Response:
    visit.form.fail("", message)
    response = shown(visit, status)
    SIGNING_IN.drop(response, is_secure=visit.console.config.is_secure)
    return response


PAGES = (public_page(PATH, _begin), public_page(CALLBACK, _return))
