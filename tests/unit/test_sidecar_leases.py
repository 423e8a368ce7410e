"""What the sidecar's log says of its lease: each change of it once."""

import asyncio
import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from keywright.programs.log import Log
from keywright.sdk import KeywrightError, Unavailable
from keywright.sidecar import serve


@dataclass
class Watching:
    """What is asked of an authenticator."""

    is_leased: bool = False
    trouble: KeywrightError | None = None


async def test_a_lease_that_outlives_its_server_is_no_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_WATCH_SECONDS", 0)
    watching: Any = Watching()
    written = StringIO()
    telling = asyncio.create_task(serve._tell_of_leases(watching, Log(written)))
    lost = Unavailable("away")
    for is_leased, trouble in (
        (False, None),
        (True, None),
        (True, lost),
        (False, lost),
        (False, lost),
        (True, None),
    ):
        watching.is_leased, watching.trouble = is_leased, trouble
        for _ in range(3):
            await asyncio.sleep(0)
    telling.cancel()
    events = [json.loads(line)["event"] for line in written.getvalue().splitlines()]
    assert events == ["ready", "not ready", "ready"]
