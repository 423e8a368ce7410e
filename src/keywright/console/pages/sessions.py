"""Where a person is signed in, and signing out there."""

from starlette.responses import Response

from keywright.console.cookies import SESSION
from keywright.console.routing import page
from keywright.console.troubles import SIGN_IN
from keywright.console.visit import PersonVisit

_PAGE_SIZE = 100
_HERE = "/sessions"


async def _show(visit: PersonVisit) -> Response:
    listed = visit.client.sessions.list(user=visit.me.user.name, page_size=_PAGE_SIZE)
    found = await listed.page(visit.form.text("page"))
    return visit.page("sessions.html", sessions=found.items, next_page=found.next_page_token)


async def _ask(visit: PersonVisit) -> Response:
    session = await visit.client.sessions.get(visit.id())
    return visit.page("session_revoke.html", session=session)


async def _revoke(visit: PersonVisit) -> Response:
    session = await visit.client.sessions.get(visit.id())
    await visit.client.sessions.revoke(session.name, request_id=visit.form.request_id)
    if session.name == visit.me.credential.name:
        return _signed_out(visit)
    if session.user != visit.me.user.name:
        return visit.redirect(f"/users/{session.user.rpartition('/')[2]}?done=sign-out-there")
    return visit.redirect(f"{_HERE}?done=revoked")


async def _ask_everywhere(visit: PersonVisit) -> Response:
    return visit.page("sessions_everywhere.html")


async def _everywhere(visit: PersonVisit) -> Response:
    stay = visit.form.text("stay") == "yes"
    await visit.client.sessions.revoke_all(
        visit.me.user.name, keep_current=stay, request_id=visit.form.request_id
    )
    return visit.redirect(f"{_HERE}?done=everywhere") if stay else _signed_out(visit)


def _signed_out(visit: PersonVisit) -> Response:
    response = visit.redirect(f"{SIGN_IN}?signed_out=1")
    SESSION.drop(response, is_secure=visit.console.config.is_secure)
    return response


PAGES = (
    page(_HERE, _show, section="sessions"),
    page(f"{_HERE}/everywhere", _ask_everywhere, _everywhere, section="sessions"),
    page(f"{_HERE}/{{id}}/revoke", _ask, _revoke, section="sessions"),
)
