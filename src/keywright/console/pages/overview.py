"""The overview: how many keys there are and which want looking after, and how they are used."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Unpack
from urllib.parse import urlencode

from starlette.responses import Response

from keywright.console import key_filters, times
from keywright.console.forms import Form
from keywright.console.routing import page
from keywright.console.usage_history import RANGES, history
from keywright.console.visit import HOME, PersonVisit
from keywright.sdk import KeyFilter, KeyState, Workspace
from keywright.sdk.client import AsyncClient

_NEEDS = ("keys.any", "usage.read")
_PATH = "/overview"
_SOON = timedelta(days=14)
_LONG_UNUSED = timedelta(days=90)
# The server counts all keys but revoked ones; so many of those are counted at most.
_REVOKED_COUNTED = 200
_COUNTED = (KeyState.ACTIVE, KeyState.DISABLED, KeyState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of keys, and where these are listed.

    Attributes:
        state: if it is the number of those in a state.
        is_least: whether there may be more.
    """

    label: str
    count: int
    path: str
    state: KeyState | None = None
    is_least: bool = False

    @property
    def told(self) -> str:
        """`1,000+`."""
        return f"{self.count:,}{'+' if self.is_least else ''}"


async def _show(visit: PersonVisit) -> Response:
    chosen = visit.form.text("range")
    chosen = chosen if chosen in RANGES else "7d"
    workspace = await visit.client.workspaces.get()
    sees_keys, sees_usage = visit.me.may("keys.any"), visit.me.may("usage.read")
    states, wanting, used = await asyncio.gather(
        _states(visit.client) if sees_keys else _nothing(),
        _wanting(visit.client, workspace) if sees_keys else _nothing(),
        history(visit.client, RANGES[chosen]) if sees_usage else _nothing(),
    )
    return visit.page(
        "overview/overview.html",
        workspace=workspace,
        states=states,
        most=max((each.count for each in states or ()), default=0) or 1,
        wanting=wanting,
        used=used,
        ranges=RANGES,
        chosen=chosen,
        sets_policy=visit.me.may("workspace.manage"),
    )


async def _nothing() -> None:
    return None


async def _states(client: AsyncClient) -> Sequence[Figure]:
    """How many keys there are in each state."""
    listed = client.keys.list(states=[KeyState.REVOKED], page_size=_REVOKED_COUNTED)
    counts, revoked = await asyncio.gather(
        asyncio.gather(*(_count(client, states=[state]) for state in _COUNTED)), listed.page()
    )
    figures = [_in_state(state, count) for state, count in zip(_COUNTED, counts, strict=True)]
    is_least = bool(revoked.next_page_token)
    return [*figures, _in_state(KeyState.REVOKED, len(revoked.items), is_least=is_least)]


def _in_state(state: KeyState, count: int, *, is_least: bool = False) -> Figure:
    value = state.value.lower()
    return Figure(
        key_filters.STATES[value][0], count, _listed(state=value), state, is_least=is_least
    )


async def _wanting(client: AsyncClient, workspace: Workspace) -> Sequence[Figure]:
    """How many active keys want looking after. Days are whole ones, as in the list."""
    now, reminder = times.now(), workspace.policy.rotation_reminder
    days = {
        f"expire within {times.length(_SOON)}": {"expires_before": now + _SOON},
        f"not used for {times.length(_LONG_UNUSED)}": {"unused_since": now - _LONG_UNUSED},
    }
    if reminder is not None:
        days[f"not rotated for {times.length(reminder)}"] = {"unrotated_since": now - reminder}
    asked = [
        {name: f"{moment:%Y-%m-%d}" for name, moment in each.items()} for each in days.values()
    ]
    counts = await asyncio.gather(*(_count(client, **_active(each)) for each in asked))
    return [
        Figure(label, count, _listed(state="active", **each))
        for label, count, each in zip(days, counts, asked, strict=True)
    ]


def _active(days: Mapping[str, str]) -> KeyFilter:
    return key_filters.chosen(Form([("state", "active"), *days.items()]))


async def _count(client: AsyncClient, **matching: Unpack[KeyFilter]) -> int:
    """How many keys match, counted where they are."""
    return await client.keys.revoke_many(validate_only=True, **matching)


def _listed(**fields: str) -> str:
    return f"/keys?{urlencode({'owner': 'all', **fields})}"


async def _home(visit: PersonVisit) -> Response:
    """The first page: this one, for who may see it."""
    sees_this = any(visit.me.may(each) for each in _NEEDS)
    return visit.redirect(_PATH if sees_this else "/keys")


PAGES = (page(HOME, _home), page(_PATH, _show, section="overview", needs=_NEEDS))
