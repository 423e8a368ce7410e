"""What a worker tells its supervisor, also one that does not read for a while."""

import asyncio
import socket
from contextlib import suppress
from datetime import timedelta

import pytest

from keywright.app.workers import control
from keywright.app.workers.control import Control


async def test_beats_that_nobody_reads_do_not_hold_up_what_is_told_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "BEAT", timedelta())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = Control(ours)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):  # thousands of beats
                await worker.beat()
        await asyncio.wait_for(asyncio.to_thread(worker.tell, True), 10)
        assert theirs.recv(2**20) == control.line(beat=True) + control.line(serving=True)
