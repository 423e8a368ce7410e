"""A link that signs a person in: shown once, as a token is."""

from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from keywright.console.pages.user_rights import section_of
from keywright.console.refusals import REFUSALS, lacking, note
from keywright.console.routing import page
from keywright.console.troubles import SIGN_IN
from keywright.console.visit import PersonVisit
from keywright.sdk import SignInLink, TokenLost


async def _show(visit: PersonVisit) -> Response:
    return await _asked(visit)


async def _asked(visit: PersonVisit, status: int = HTTPStatus.OK) -> Response:
    user = await visit.client.users.get(visit.id())
    if not visit.me.may("users.manage"):
        return lacking(visit, "users.manage")
    visit.section = section_of(user)
    return visit.page("users/link.html", status, user=user)


async def _make(visit: PersonVisit) -> Response:
    user = await visit.client.users.get(visit.id())
    try:
        made = await visit.client.sessions.create_link(user.name, request_id=visit.form.request_id)
    except TokenLost:
        return visit.page("users/link_shown.html", user=user)
    except REFUSALS as error:
        return await _asked(visit, note(visit.form, error))
    return visit.page("users/link_made.html", user=user, link=_address(visit, made), made=made)


def _address(visit: PersonVisit, made: SignInLink) -> str:
    # Over plain HTTP only names of this machine come as far as here (guards.py).
    own = visit.console.config.public_url or f"http://{visit.request.headers['host']}"
    return f"{own}{SIGN_IN}/link?{urlencode({'token': made.token.reveal()})}"


PAGES = (page("/users/{id}/link", _show, _make, section="users"),)
