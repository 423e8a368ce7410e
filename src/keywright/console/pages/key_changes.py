"""Changes of a key that are asked about first: revoke, disable, enable, delete."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import Key, KeyState
from keywright.sdk.calls.keys import Keys
from keywright.sdk.connection.flow import Awaiting

Change = Callable[[Keys[Awaiting], str, str], Awaitable[Key]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A change, and what is asked before it is made.

    Attributes:
        verb: what the button says.
        told: what comes of it.
        is_final: whether nothing takes it back.
        states: of what keys it makes sense.
    """

    id: str
    verb: str
    told: str
    make: Change
    states: tuple[KeyState, ...]
    is_final: bool = False

    def is_for(self, key: Key) -> bool:
        """Whether it makes sense of a key as it is."""
        return key.state in self.states


async def _revoke(keys: Keys[Awaiting], name: str, request_id: str) -> Key:
    return await keys.revoke(name, request_id=request_id)


async def _disable(keys: Keys[Awaiting], name: str, request_id: str) -> Key:
    return await keys.disable(name, request_id=request_id)


async def _enable(keys: Keys[Awaiting], name: str, request_id: str) -> Key:
    return await keys.enable(name, request_id=request_id)


async def _delete(keys: Keys[Awaiting], name: str, request_id: str) -> Key:
    return await keys.delete(name, request_id=request_id)


CHANGES = (
    Asked(
        "disable",
        "Disable",
        "Programs that use it are refused from now on, until you enable it again.",
        _disable,
        (KeyState.ACTIVE,),
    ),
    Asked("enable", "Enable", "It stands again, at once.", _enable, (KeyState.DISABLED,)),
    Asked(
        "revoke",
        "Revoke",
        "It is dead everywhere as soon as the next page appears, and stays so. Programs that use "
        "it need another key.",
        _revoke,
        (KeyState.ACTIVE, KeyState.DISABLED, KeyState.EXPIRED),
        is_final=True,
    ),
    Asked(
        "delete",
        "Delete",
        "Its record goes from the list. The audit trail keeps what was done with it.",
        _delete,
        (KeyState.REVOKED, KeyState.EXPIRED),
        is_final=True,
    ),
)


def changes_of(key: Key) -> list[Asked]:
    """What may be done with a key as it is."""
    return [each for each in CHANGES if each.is_for(key)]


def _page(change: Asked) -> Route:
    async def show(visit: PersonVisit) -> Response:
        key, session = await asyncio.gather(
            visit.client.keys.get(visit.id()), visit.client.sessions.get(visit.me.credential.name)
        )
        return visit.page(
            "keys/confirm.html", key=key, change=change, has_signed_in=session.key == key.name
        )

    async def act(visit: PersonVisit) -> Response:
        await change.make(visit.client.keys, visit.id(), visit.form.request_id)
        if change.id == "delete":
            return visit.redirect("/keys?done=delete")
        return visit.redirect(f"/keys/{visit.id()}?done={change.id}")

    return page(f"/keys/{{id}}/{change.id}", show, act, section="keys")


PAGES = tuple(_page(each) for each in CHANGES)
