"""What the audit event costs a management call: the same server, beside a build without events."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask

import keywright
from bench import server
from bench.create_key import CREATE_KEY
from bench.effort import Effort
from bench.keys import PARENT, Admin, bearer
from bench.load import Call, in_turn
from bench.server import Postgres
from bench.target import Target, show_targets, take_turns
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

_UPDATE_KEY = "/keywright.v1.KeyService/UpdateKey"
_IN_FLIGHT = 32
# Microseconds that PostgreSQL waits before it flushes a commit: about a synchronous standby's.
_STANDBY = {"commit_delay": "2000", "commit_siblings": "0"}
_NOTE = (
    "32 in flight, committed durably; both servers are measured in turn. The baseline is a build "
    "from which the INSERT of the event was taken out. `CreateKey` inserts a key, a secret and the "
    "event in one statement; `UpdateKey` changes a display name, the event is a statement more."
)
# What is taken out of a copy of the source, and what stands there instead.
_WITHOUT_EVENTS = {
    "storage/audit.py": [
        ("await self._connection.execute(insertion(1), *values(event))", "return"),
    ],
    "storage/key_changes.py": [
        ("), event AS (\n        {insertion(22)}\n    )", ")"),
        ("            *values(event),\n", ""),
    ],
}


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print a table each for a plain disk, and for a standby that every commit waits for."""
    await _table("", postgres, effort)
    async with server.postgres(**_STANDBY) as waiting:
        await _table(", with 2 ms more for each commit (`commit_delay`)", waiting, effort)


async def _table(circumstance: str, postgres: Postgres, effort: Effort) -> None:
    async with AsyncExitStack() as open_:
        targets: list[Target] = []
        calls: dict[str, list[Target]] = {"CreateKey": [], "UpdateKey": []}
        for suffix, source in (("without its event", await _built(open_)), ("", None)):
            dsn, token = await postgres.database(f"audit_{'without' if source else 'with'}")
            at = await open_.enter_async_context(server.keywright(dsn, source=source))
            create, updates = await _management_calls(at, token)
            for name, call in (("CreateKey", create), ("UpdateKey", updates)):
                target = Target(f"{name} {suffix}".strip(), at, call, _IN_FLIGHT)
                calls[name].append(target)
                targets.append(target)
        await take_turns(targets, effort)
    for name, pair in calls.items():
        show_targets(f"{name} and its audit event{circumstance}", _NOTE, pair[0].name, pair)


async def _management_calls(at: server.Server, token: str) -> tuple[Call, Call]:
    member = await Admin(at.channel, token).service_user("member", "member")
    request = pb.CreateKeyRequest(parent=PARENT, key=key_pb2.Key(user=member))
    create = in_turn(at.channel, CREATE_KEY, [request.SerializeToString()], bearer(token))
    # A key for each call under way, each renamed to and fro: so every call changes something.
    names = [pb.CreateKeyResponse.FromString(await create()).key.name for _ in range(_IN_FLIGHT)]
    updates = in_turn(at.channel, _UPDATE_KEY, list(_renamings(names)), bearer(token))
    return create, updates


def _renamings(names: Sequence[str]) -> list[bytes]:
    return [
        pb.UpdateKeyRequest(
            key=key_pb2.Key(name=name, display_name=f"name {turn}"),
            update_mask=FieldMask(paths=["display_name"]),
        ).SerializeToString()
        for turn in range(2)
        for name in names
    ]


async def _built(open_: AsyncExitStack) -> Path:
    """A copy of the program without events."""
    return await open_.enter_async_context(_without_events())


@asynccontextmanager
async def _without_events() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="keywright-bench-") as name:
        copy = Path(name) / "keywright"
        shutil.copytree(Path(keywright.__file__).parent, copy)
        for file, changes in _WITHOUT_EVENTS.items():
            text = (copy / file).read_text()
            for there, instead in changes:
                assert there in text, f"{file} has changed: where is the event inserted now?"
                text = text.replace(there, instead)
            (copy / file).write_text(text)
        yield Path(name)
