"""Changes of a user that are asked about first, as each of them ends something."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response
from starlette.routing import Route

from keywright.console.pages.user_rights import section_of
from keywright.console.refusals import REFUSALS, note
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import NotFound, PermissionDenied, User, UserKind, UserState
from keywright.sdk.client import AsyncClient

Change = Callable[[AsyncClient, str, str], Awaitable[object]]
_EVERY_STATE = (UserState.ACTIVE, UserState.DISABLED)


@dataclass(frozen=True, slots=True)
class Asked:
    """A change, and what is asked before it is made.

    Attributes:
        verb: what the button says.
        title: the question, about a user whose name comes after it.
        told: what comes of it.
        is_final: whether nothing takes it back.
        states: of what users it makes sense.
        of_details: whether it is offered beside the user's name, or further down.
    """

    id: str
    verb: str
    title: str
    told: str
    make: Change
    states: tuple[UserState, ...] = _EVERY_STATE
    is_final: bool = False
    of_details: bool = True


async def _disable(client: AsyncClient, user: str, request_id: str) -> object:
    return await client.users.disable(user, request_id=request_id)


async def _enable(client: AsyncClient, user: str, request_id: str) -> object:
    return await client.users.enable(user, request_id=request_id)


async def _delete(client: AsyncClient, user: str, request_id: str) -> object:
    return await client.users.delete(user, force=True, request_id=request_id)


async def _sign_out(client: AsyncClient, user: str, request_id: str) -> object:
    return await client.sessions.revoke_all(user, request_id=request_id)


async def _revoke_keys(client: AsyncClient, user: str, request_id: str) -> object:
    return await client.keys.revoke_many(user=user, request_id=request_id)


CHANGES = (
    Asked(
        "disable",
        "Disable",
        "Disable",
        "Every key and session of this user is dead everywhere as soon as the next page appears. "
        "Enabled again, the user has back what was not revoked meanwhile.",
        _disable,
        (UserState.ACTIVE,),
    ),
    Asked(
        "enable",
        "Enable",
        "Enable",
        "The user may sign in again, and the keys that were not revoked stand again, at once.",
        _enable,
        (UserState.DISABLED,),
    ),
    Asked(
        "delete",
        "Delete",
        "Delete",
        "The user goes, with sessions, SSH keys and grants, and every key is revoked. The records "
        "of the keys and the audit trail stay.",
        _delete,
        is_final=True,
    ),
    Asked(
        "sign-out",
        "Sign out everywhere",
        "Sign out",
        "Every session of this user ends at once. Keys go on working.",
        _sign_out,
        of_details=False,
    ),
    Asked(
        "revoke-keys",
        "Revoke all keys",
        "Revoke all keys of",
        "They are dead everywhere as soon as the next page appears, and stay so. Programs that use "
        "them need other keys.",
        _revoke_keys,
        is_final=True,
        of_details=False,
    ),
)


def changes_of(user: User) -> list[Asked]:
    """What may be done with a user as it is."""
    return [each for each in CHANGES if each.of_details and user.state in each.states]


def _page(change: Asked) -> Route:
    async def show(visit: PersonVisit) -> Response:
        return await shown(visit, HTTPStatus.OK)

    async def shown(visit: PersonVisit, status: HTTPStatus) -> Response:
        user = await visit.client.users.get(visit.id())
        visit.section = section_of(user)
        return visit.page(
            "users/confirm.html",
            status,
            user=user,
            change=change,
            key_count=await _key_count(visit, user),
        )

    async def act(visit: PersonVisit) -> Response:
        user = await visit.client.users.get(visit.id())
        try:
            await change.make(visit.client, user.name, visit.form.request_id)
        except REFUSALS as error:
            return await shown(visit, note(visit.form, error))
        if change.id == "delete":
            back = "/service-users" if user.kind is UserKind.SERVICE else "/users"
            return visit.redirect(f"{back}?done=delete")
        return visit.redirect(f"/users/{user.id}?done={change.id}")

    return page(f"/users/{{id}}/{change.id}", show, act, section="users")


async def _key_count(visit: PersonVisit, user: User) -> int | None:
    """How many keys are not revoked; None if that is not for this person to see."""
    if not visit.me.may("keys.any"):
        return None
    try:
        return await visit.client.keys.revoke_many(user=user.name, validate_only=True)
    except (PermissionDenied, NotFound):
        return None


PAGES = tuple(_page(each) for each in CHANGES)
