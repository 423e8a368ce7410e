"""What a person may do with a user; the server decides anyway, this decides what is offered."""

from dataclasses import dataclass

from keywright.console.authority import me_at
from keywright.console.visit import PersonVisit
from keywright.sdk import User, UserKind

SECTIONS = {UserKind.SERVICE: "service-users"}


@dataclass(frozen=True, slots=True)
class Rights:
    """What is offered.

    Attributes:
        manage: change, disable and delete the user.
        everything: also what signs a person in: e-mail address, external id, sessions, role.
        generate: a key for the user.
        keys: see those there are.
        grants: see those there are.
        give: roles on resources.
    """

    manage: bool
    everything: bool
    generate: bool
    keys: bool
    grants: bool
    give: bool


async def rights_over(visit: PersonVisit, user: User) -> Rights:
    """What the person who asks may do with a user."""
    me = visit.me
    bound = bool(user.resource) and (await me_at(visit, user.resource)).may("keys.bound")
    own = user.name == me.user.name
    everything = me.may("users.manage")
    return Rights(
        manage=everything or bound,
        everything=everything,
        generate=me.may("keys.any") or bound or (own and me.may("keys.own")),
        keys=me.may("keys.any") or bound or own,
        grants=own or bound or any(me.may(each) for each in ("grants.read", "grants.manage")),
        give=me.may("grants.manage") or bound,
    )


def section_of(user: User) -> str:
    """The section that a user's pages are of."""
    return SECTIONS.get(user.kind, "users")
