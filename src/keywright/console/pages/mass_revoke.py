"""Revoke all keys that match: first they are shown, and what was shown is what is revoked.

The preview goes with the form: when it was made, how many keys there were, and a digest of their
names. Keys that are made or rotated later are not meant, and if fewer or others match by then, the
keys are shown anew and nothing is revoked.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus

from starlette.responses import Response

from keywright.console import key_filters, times
from keywright.console.forms import Form
from keywright.console.routing import page
from keywright.console.visit import PersonVisit
from keywright.sdk import InvalidArgument, Key, KeyFilter, NotFound

_PATH = "/revoke-keys"
_SHOWN = 20
# So many names are in the digest, newest first; beyond them only the number is compared.
_COMPARED = 1000
_DIGEST_LENGTH = 16
_COUNT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Preview:
    """The keys that match: how many, and the newest of them."""

    matching: KeyFilter
    seen: datetime
    count: int
    keys: tuple[Key, ...]

    @property
    def mark(self) -> str:
        """What is compared."""
        names = "\n".join(each.name for each in self.keys)
        return f"{self.count}-{sha256(names.encode()).hexdigest()[:_DIGEST_LENGTH]}"

    @property
    def shown(self) -> tuple[Key, ...]:
        """Those that a page shows."""
        return self.keys[:_SHOWN]


async def _show(visit: PersonVisit) -> Response:
    return await _previewed(visit, await _preview(visit, times.now()))


async def _revoke(visit: PersonVisit) -> Response:
    form = visit.form
    found = await _preview(visit, _seen(form))
    if found is None:
        form.fail("", "Say which keys.")
        return await _previewed(visit, None)
    # If none is left, this may be the same form again: the server knows, and tells the same.
    if found.count and found.mark != form.text("mark"):
        again = await _preview(visit, times.now())
        form.fail("", "Other keys match now than were shown. Nothing was revoked; look again.")
        return await _previewed(visit, again)
    count = await visit.client.keys.revoke_many(request_id=form.request_id, **found.matching)
    return visit.redirect(f"{_PATH}?revoked={count}")


async def _previewed(visit: PersonVisit, found: Preview | None) -> Response:
    workspace, roles = await asyncio.gather(
        visit.client.workspaces.get(), key_filters.any_role(visit)
    )
    revoked = visit.form.text("revoked")
    return visit.page(
        "keys/revoke_many.html",
        HTTPStatus.CONFLICT if visit.form.errors else HTTPStatus.OK,
        found=found,
        given={name: visit.form.text(name) for name in key_filters.FIELDS},
        labels=key_filters.LABELS,
        states=key_filters.REVOCABLE,
        environments=key_filters.any_environment(workspace),
        roles=roles,
        sees_all=visit.me.may("keys.any"),
        revoked=int(revoked) if _COUNT.fullmatch(revoked) else None,
    )


async def _preview(visit: PersonVisit, seen: datetime) -> Preview | None:
    """The keys that the form means; None if it does not say any, or is mistaken."""
    form = visit.form
    matching = key_filters.chosen(form)
    if form.errors or not key_filters.is_given(form):
        return None
    matching["unrotated_since"] = min(matching.get("unrotated_since") or seen, seen)
    listed = visit.client.keys.list(page_size=_COMPARED, **matching)
    try:
        count, keys = await asyncio.gather(
            visit.client.keys.revoke_many(validate_only=True, **matching), listed.page()
        )
    except (NotFound, InvalidArgument) as error:
        key_filters.refused(form, error)
        return None
    return Preview(matching, seen, count, keys.items)


def _seen(form: Form) -> datetime:
    """When the preview was made; now, if the form does not say, which then is another one."""
    try:
        return datetime.fromisoformat(form.text("seen")).astimezone(UTC)
    except (ValueError, OverflowError):
        return times.now()


PAGES = (page(_PATH, _show, _revoke, section="keys"),)
