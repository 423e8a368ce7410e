"""A thousand keys are imported while others are served, and told of once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from keywright.service.import_transaction import Import
from keywright.service.key_import import KeyImport
from keywright.wire.handlers import key_import as handler
from tests.integration.test_imported_tokens import letters
from tests.security.patched import in_process
from tests.support.imported import by_digest, digest_item, import_keys
from tests.support.service import Service

COUNT = 500


@pytest.mark.parametrize(
    ("where", "step"), [(handler, "_item"), (KeyImport, "_checked"), (Import, "_new")]
)
async def test_others_are_served_between_the_items(
    service: Service, monkeypatch: pytest.MonkeyPatch, where: Any, step: str
) -> None:
    turn, turns = 0, set()

    async def others() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    def noted(original: Callable[..., Any]) -> Callable[..., Any]:
        def note(*given: Any) -> Any:
            turns.add(turn)
            return original(*given)

        return note

    monkeypatch.setattr(where, step, noted(getattr(where, step)))
    async with in_process(service) as running:
        served = asyncio.create_task(others())
        items = [digest_item(letters()) for _ in range(COUNT)]
        assert (await import_keys(running.admin, by_digest(), *items)).imported_count == COUNT
        served.cancel()
    assert len(turns) >= COUNT / 50


@pytest.mark.parametrize("request_id", ["", "one-import-1"])
async def test_the_reply_is_made_once(
    service: Service, monkeypatch: pytest.MonkeyPatch, request_id: str
) -> None:
    told, count = handler._told, 0

    def counted(results: Any) -> Any:
        nonlocal count
        count += 1
        return told(results)

    monkeypatch.setattr(handler, "_told", counted)
    async with in_process(service) as running:
        item = digest_item(letters())
        first = await import_keys(running.admin, by_digest(), item, request_id=request_id)
        assert count == 1
        again = await import_keys(running.admin, by_digest(), item, request_id=request_id)
    assert first.imported_count == 1
    assert first.revision
    assert again.replayed is bool(request_id)
    if request_id:
        assert again.results == first.results
