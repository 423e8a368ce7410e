"""A disk that is full is told, and what could not be written then is written later."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from keywright.app.config import Config
from keywright.app.front import certificates, program
from keywright.app.front.certificates import Renewing
from keywright.app.listen import ListenError
from keywright.front.places import Places


def test_a_disk_that_is_full_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_path: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(ListenError, match=r"temporary files: .* No space left on device"):
        program.check(Config(front="envoy"))


async def test_envoy_is_told_of_renewed_files_as_soon_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_POLL", certificates._POLL / 100)
    places, looked = Places(tmp_path), asyncio.Event()
    loop = asyncio.get_running_loop()

    def nothing_more() -> None:
        loop.call_soon_threadsafe(looked.set)

    renewal: Any = nothing_more

    watching = asyncio.create_task(Renewing(renewal, places).watch())
    try:
        async with asyncio.timeout(20):
            await looked.wait()
            places.renewals.mkdir()
            while not (places.renewals / "renewed").exists():
                looked.clear()
                await looked.wait()
                assert not watching.done()
    finally:
        watching.cancel()
