"""Imported tokens where several workspaces have formats and prefixes that are the same.

Callers that are confined to a workspace never meet the keys of others; these are about the rest:
whoever comes with an imported token as its own credential, gateways of all, and reports of leaks.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import bcrypt
import pytest

from tests.integration.test_imported_limits import BURST
from tests.integration.test_imported_tokens import dotted, imported, letters
from tests.support.imported import (
    BCRYPT,
    by_digest,
    by_prefix,
    digest_item,
    form,
    import_keys,
    reasons,
    slow_item,
)
from tests.support.service import PARENT, Caller, RefusedError, Service, first_admin, refusal

OTHER = "workspaces/other"
BRANDED = "acme_live_prod_[A-Za-z]{40}"


@pytest.fixture(scope="module", name="other")
async def _other(service: Service) -> Caller:
    """The admin of another workspace."""
    return service.as_caller(await first_admin(service.dsn, "other"))


@pytest.fixture(scope="module", name="operator")
async def _operator(service: Service) -> Caller:
    """Whose business the tokens of all workspaces are."""
    return service.as_caller(await first_admin(service.dsn, "system"))


async def import_theirs(other: Caller, shape: dict[str, Any], item: dict[str, Any]) -> str:
    """Import a key into the other workspace; returns its name."""
    reply = await import_keys(other, shape, item, parent=OTHER)
    assert reasons(reply) == [""]
    return str(reply.results[0].key.name)


async def reports(service: Service, token: str) -> None:
    await service.as_caller(None).do("ReportLeakedToken", token=token)


async def test_a_slow_hash_of_another_workspace_is_in_nobodys_way(
    service: Service, other: Caller, operator: Caller
) -> None:
    token = "slow" + letters(44)
    theirs = {"hash": BCRYPT, "hash_form": form("PHC"), "prefix": token[:4]}
    await import_theirs(other, by_prefix("slow[A-Za-z]{44}", 4), theirs)
    await import_keys(service.admin, by_digest("slow[A-Za-z]{44}"), digest_item(token))
    for _ in range(2 * BURST):
        await service.as_caller(token).do("ListKeys", parent=PARENT)
        await operator.authenticate(token, client_address="192.0.2.1")


async def test_a_workspace_with_many_formats_crowds_nobody_out(
    service: Service, other: Caller, operator: Caller
) -> None:
    token = "acme_live_prod_" + letters(40)
    for length in range(4, 24):
        item = {
            "hash": hashlib.sha256(letters().encode()).hexdigest(),
            "hash_form": form("SHA256_HEX"),
            "prefix": token[:length],
        }
        await import_theirs(other, by_prefix(BRANDED, length), item)
    mine = {**digest_item(token), "prefix": token[:30]}
    await import_keys(service.admin, by_prefix(BRANDED, 30), mine)
    await service.as_caller(token).do("ListKeys", parent=PARENT)
    assert (await operator.authenticate(token)).workspace == PARENT
    await reports(service, token)
    assert (await refusal(service.admin.authenticate(token))).reason == "KEY_REVOKED"


async def test_a_report_ends_the_token_wherever_it_was_imported(
    service: Service, other: Caller
) -> None:
    token = dotted()
    theirs = await import_theirs(other, by_prefix(), slow_item(token))
    mine = await imported(service, token)
    await reports(service, token)
    for caller in (service.admin, other):
        assert (await refusal(caller.authenticate(token))).reason == "KEY_REVOKED"
    for caller, parent, name in ((service.admin, PARENT, mine), (other, OTHER, theirs)):
        (event,) = (
            await caller.do(
                "ListAuditEvents",
                parent=parent,
                filter={"resource": name, "actions": ["ReportLeakedToken"]},
            )
        ).audit_events
        assert event.resource == name


async def test_a_key_that_stands_is_not_hidden_by_one_that_does_not(
    service: Service, other: Caller, operator: Caller
) -> None:
    token = dotted()
    theirs = await import_theirs(other, by_prefix(), slow_item(token))
    mine = await imported(service, token)
    assert (await operator.authenticate(token)).credential.name == theirs  # the older
    await other.revoke_key(theirs)
    assert (await operator.authenticate(token)).credential.name == mine
    await service.as_caller(token).do("ListKeys", parent=PARENT)
    await service.admin.revoke_key(mine)
    assert (await refusal(operator.authenticate(token))).reason == "KEY_REVOKED"


async def test_strangers_who_report_guesses_use_up_no_callers_share(service: Service) -> None:
    """Behind a gateway, all come from one address."""
    token = dotted()
    await imported(service, token)
    told = set()
    for _ in range(3 * BURST):
        try:
            await reports(service, dotted(token[:8]))
        except RefusedError as refused:
            told.add(refused.reason)
    assert told == {"FAILURES_LIMITED"}
    await service.as_caller(token).do("ListKeys", parent=PARENT)


async def test_one_right_token_that_is_presented_at_once_is_computed_once(
    service: Service,
) -> None:
    token = dotted()
    hashed = bcrypt.hashpw(token.encode(), bcrypt.gensalt(10)).decode()  # longer than calls take
    item = {"hash": hashed, "hash_form": form("PHC"), "prefix": token[:8]}
    await import_keys(service.admin, by_prefix(), item)
    await present_all(service, [token] * 40, "198.51.100.1")


async def test_right_tokens_at_once_from_one_place_are_not_held_for_guesses(
    service: Service,
) -> None:
    tokens = [dotted() for _ in range(4 * BURST)]
    await import_keys(service.admin, by_prefix(), *map(slow_item, tokens))
    await present_all(service, tokens, "198.51.100.2")


async def present_all(service: Service, tokens: Sequence[str], address: str) -> None:
    """Present them at once, and all stand."""
    await asyncio.gather(
        *(service.admin.authenticate(each, client_address=address) for each in tokens)
    )
