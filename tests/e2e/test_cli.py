"""The command line against a real server, as a script and as a person use it."""

import asyncio
import json
import os
import pty
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from keywright.sdk import Client, KeyState
from tests.support.service import Service

pytestmark = pytest.mark.slow

TOKEN_LENGTH = len("kw_live_") + 12 + 43 + 6


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error that a program reads on stderr."""
        return json.loads(self.err)["error"]


@dataclass(frozen=True)
class Keywright:
    """The command, with an address and a key in its environment."""

    uri: str
    token: str

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")
        }
        return {**clean, "KEYWRIGHT_URI": self.uri, "KEYWRIGHT_API_KEY": self.token, **more}

    async def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "keywright",
            *arguments,
            env=self.environ(environ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert process.returncode is not None
        assert b"Traceback" not in err
        return Ended(process.returncode, out.decode(), err.decode())

    def with_token(self, token: str) -> "Keywright":
        return Keywright(self.uri, token)

    async def at_a_terminal(
        self, *arguments: str, asked: str, answer: str | signal.Signals
    ) -> Ended:
        """Run it where a person sits, who answers when `asked`; what it shows is in `err`."""
        person, terminal = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "keywright",
            *arguments,
            env=self.environ({"TERM": "dumb"}),
            stdin=terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=terminal,
            start_new_session=True,  # else /dev/tty is where the tests were started
        )
        os.close(terminal)
        try:
            shown = await asyncio.to_thread(_until, person, asked)
            if isinstance(answer, signal.Signals):
                await asyncio.to_thread(_until_it_waits, process.pid)
                process.send_signal(answer)
            else:
                os.write(person, answer.encode())
            out, _ = await asyncio.wait_for(process.communicate(), 60)
            shown += await asyncio.to_thread(_until, person, None)
        finally:
            os.close(person)
        assert process.returncode is not None
        assert "Traceback" not in shown
        return Ended(process.returncode, out.decode(), shown)


def _until(terminal: int, text: str | None) -> str:
    """What a terminal shows until `text`, or until its program has ended."""
    shown = b""
    with suppress(OSError):  # EIO: nobody writes to it any more
        while text is None or text.encode() not in shown:
            shown += os.read(terminal, 4096)
    return shown.decode()


def _until_it_waits(pid: int) -> None:
    """Until a program that has asked reads the answer.

    A signal that arrives in the few microseconds before would not end the reading that follows.
    """
    while psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
        time.sleep(0)


@pytest.fixture(name="keywright")
def _keywright(service: Service) -> Keywright:
    return Keywright(service.uri, service.admin_token)


async def test_the_token_is_alone_on_stdout_so_that_a_shell_can_take_it(
    keywright: Keywright,
) -> None:
    created = await keywright("keys", "create", "--key-id", "alone", "--display-name", "CI")
    assert created.code == 0
    token = created.out.removesuffix("\n")
    assert len(token) == TOKEN_LENGTH
    assert token not in created.err
    assert "workspaces/default/keys/alone" in created.err
    assert "shown this once" in created.err

    presented = await keywright("authenticate", "-o", "json", stdin=f"{token}\n")
    assert presented.json["credential"]["name"] == "workspaces/default/keys/alone"


async def test_a_key_lives_from_creation_to_deletion_for_a_user_named_by_e_mail(
    keywright: Keywright,
) -> None:
    ann = await keywright("users", "create", "ann@example.com", "--role", "member", "-o", "json")
    assert (ann.code, ann.json["state"], ann.json["kind"]) == (0, "ACTIVE", "HUMAN")
    created = await keywright(
        *("keys", "create", "--user", "ann@example.com", "--key-id", "laptop", "--ttl", "2w"),
        *("--scope", "datasets.read", "--scope", "labels.*", "--label", "team=data", "-o", "json"),
    )
    key, token = created.json["key"], created.json["token"]
    assert (key["user"], key["user_email"]) == (ann.json["name"], "ann@example.com")
    assert key["scopes"] == ["datasets.read", "labels.*"]
    assert key["labels"] == {"team": "data"}
    assert key["expire_time"].endswith("Z")

    listed = await keywright("keys", "list", "--user", "ann@example.com")
    assert (listed.code, listed.err) == (0, "")
    header, row = listed.out.splitlines()
    assert header.split()[:3] == ["ID", "NAME", "USER"]
    assert row.split()[:2] == ["laptop", "ann@example.com"]

    own = await keywright.with_token(token)("whoami", "-o", "json")
    assert own.json["user"]["email"] == "ann@example.com"
    assert own.json["permissions"] == ["datasets.read", "labels.*"]

    revoked = await keywright("keys", "revoke", "laptop")
    assert (revoked.code, revoked.out) == (0, "")
    assert revoked.err == "Revoked workspaces/default/keys/laptop.\n"
    denied = await keywright("authenticate", "-o", "json", stdin=token)
    assert (denied.code, denied.out, denied.error["reason"]) == (9, "", "KEY_REVOKED")

    none = await keywright("keys", "list", "--user", "ann@example.com")
    assert (none.code, none.out, none.err) == (0, "", "No keys.\n")
    every = await keywright("keys", "list", "--user", "ann@example.com", "--all", "-o", "json")
    assert [each["state"] for each in every.json["keys"]] == ["REVOKED"]

    deleted = await keywright("keys", "delete", "workspaces/default/keys/laptop", "-o", "json")
    assert deleted.json["name"] == "workspaces/default/keys/laptop"
    gone = await keywright("keys", "get", "laptop")
    assert gone.code == 5
    assert gone.err.startswith("error: RESOURCE_NOT_FOUND: ")


async def test_a_disabled_users_keys_are_dead_until_the_user_is_enabled(
    keywright: Keywright,
) -> None:
    await keywright("users", "create", "ben@example.com", "--role", "member", "--user-id", "ben")
    token = (await keywright("keys", "create", "--user", "ben")).out
    disabled = await keywright("users", "disable", "ben@example.com")
    assert (disabled.code, disabled.err) == (0, "Disabled workspaces/default/users/ben.\n")
    denied = await keywright("authenticate", stdin=token)
    assert denied.code == 9
    assert "USER_DISABLED" in denied.err
    listed = await keywright("users", "list", "--state", "disabled", "-o", "json")
    assert [each["name"] for each in listed.json["users"]] == ["workspaces/default/users/ben"]
    assert (await keywright("users", "enable", "ben", "-o", "json")).json["state"] == "ACTIVE"
    assert (await keywright("authenticate", stdin=token)).code == 0


async def test_ones_own_bad_credential_is_told_apart_from_the_presented_token(
    keywright: Keywright, service: Service
) -> None:
    stranger = keywright.with_token("kw_live_nonsense")
    for command in (["whoami"], ["keys", "list"], ["authenticate"]):
        ended = await stranger(*command, "-o", "json", stdin=service.admin_token)
        assert (ended.code, ended.error["reason"]) == (3, "CALLER_CREDENTIAL_INVALID")
    denied = await keywright("authenticate", "-o", "json", stdin="kw_live_nonsense")
    assert (denied.code, denied.error["reason"]) == (9, "TOKEN_MALFORMED")


async def test_what_a_key_may_not_do_ends_with_4(keywright: Keywright) -> None:
    await keywright("users", "create", "cleo@example.com", "--role", "labeler", "--user-id", "cleo")
    cleo = keywright.with_token((await keywright("keys", "create", "--user", "cleo")).out.strip())
    assert (await cleo("users", "list")).code == 4
    assert (await cleo("authenticate", stdin=keywright.token)).code == 4
    assert (await cleo("whoami")).code == 0
    lacking = await cleo("authenticate", "--required-permission", "users.manage", stdin=cleo.token)
    assert lacking.code == 9
    assert "PERMISSION_MISSING" in lacking.err


async def test_each_bad_field_is_a_line_of_its_own(keywright: Keywright) -> None:
    bad = await keywright("keys", "create", "--key-id", "Not An Id", "--scope", "a..b")
    assert (bad.code, bad.out) == (6, "")
    first, *fields = bad.err.splitlines()
    assert first.startswith("error: FIELD_INVALID: ")
    assert {line.split(":")[0] for line in fields} == {"  key_id", "  key.scopes[0]"}
    short = await keywright("keys", "create", "--ttl", "59s", "-o", "json")
    assert (short.code, short.error["reason"]) == (6, "POLICY_LIFETIME_TOO_SHORT")


async def test_an_empty_shell_variable_does_not_mean_somebody_else(keywright: Keywright) -> None:
    assert (await keywright("keys", "create", "--user", "")).code == 6
    assert (await keywright("keys", "revoke", "")).code == 6


async def test_what_exists_already_ends_with_7(keywright: Keywright) -> None:
    assert (await keywright("keys", "create", "--key-id", "twice")).code == 0
    again = await keywright("keys", "create", "--key-id", "twice", "-o", "json")
    assert (again.code, again.error["code"]) == (7, "ALREADY_EXISTS")


async def test_a_service_user_needs_no_e_mail(keywright: Keywright) -> None:
    made = await keywright(
        *("users", "create", "--kind", "service", "--user-id", "robot", "--role", "authenticator"),
        *("-o", "json"),
    )
    assert (made.json["kind"], made.json["email"]) == ("SERVICE", "")
    shown = await keywright("users", "get", "robot")
    assert "workspaces/default/roles/authenticator" in shown.out


async def test_a_hostile_name_reaches_no_terminal(keywright: Keywright) -> None:
    name = "[red]evil\u200b[/red]"
    made = await keywright("keys", "create", "--key-id", "hostile", "--display-name", name)
    listed = await keywright("keys", "list", "--search", "evil", PYTHONUTF8="1")
    for text in (made.err, listed.out):
        assert r"[red]evil\u200b[/red]" in text


async def test_a_terminal_that_knows_only_ascii_shows_what_it_can(keywright: Keywright) -> None:
    await keywright("keys", "create", "--key-id", "zoe", "--display-name", "Zoë")
    listed = await keywright("keys", "list", "--search", "Zo", PYTHONIOENCODING="ascii")
    assert listed.code == 0
    assert "zoe" in listed.out


async def test_a_proxy_in_the_environment_does_not_see_a_key_in_plain_text(
    keywright: Keywright,
) -> None:
    proxy = "http://127.0.0.1:1"  # nobody listens there: through it nothing would work
    ended = await keywright("whoami", http_proxy=proxy, grpc_proxy=proxy, no_proxy="")
    assert ended.code == 0


@pytest.mark.parametrize("command", ["revoke", "delete"])
async def test_a_person_is_asked_before_a_key_ends_and_may_say_no(
    keywright: Keywright, command: str
) -> None:
    await keywright("keys", "create", "--key-id", f"ask-{command}")
    no = await keywright.at_a_terminal(
        "keys", command, f"ask-{command}", asked="[y/N]", answer="n\n"
    )
    assert (no.code, no.out) == (130, "")
    assert (await keywright("keys", "get", f"ask-{command}", "-o", "json")).json[
        "state"
    ] == "ACTIVE"
    yes = await keywright.at_a_terminal(
        "keys", command, f"ask-{command}", asked="[y/N]", answer="y\n"
    )
    assert yes.code == 0
    assert f"keys/ask-{command}" in yes.err


async def test_a_person_types_a_token_that_is_not_shown(keywright: Keywright) -> None:
    ended = await keywright.at_a_terminal(
        "authenticate", asked="Token: ", answer=f"{keywright.token}\n"
    )
    assert ended.code == 0
    assert "admin@localhost" in ended.out
    assert keywright.token not in ended.err


async def test_ctrl_c_at_a_question_ends_with_130(keywright: Keywright) -> None:
    ended = await keywright.at_a_terminal("authenticate", asked="Token: ", answer=signal.SIGINT)
    assert (ended.code, ended.out) == (130, "")


async def test_what_reads_only_the_first_line_does_not_make_it_fail_loudly(
    keywright: Keywright,
) -> None:
    script = f'"{sys.executable}" -m keywright keys list --all | :'
    process = await asyncio.create_subprocess_shell(
        script, env=keywright.environ({}), stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert err == b""


async def test_a_token_that_could_not_be_written_is_a_failure_that_says_which_key_it_was(
    keywright: Keywright,
) -> None:
    script = f'"{sys.executable}" -m keywright keys create --key-id lost > /dev/full'
    process = await asyncio.create_subprocess_shell(
        script, env=keywright.environ({}), stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode != 0
    assert "workspaces/default/keys/lost" in err.decode()
    assert "could not be written" in err.decode()
    assert b"Traceback" not in err


async def test_the_client_fetches_pages_by_itself_and_takes_every_form_of_a_name(
    service: Service,
) -> None:
    def use() -> None:
        with Client(service.uri, service.admin_token) as client:
            dana = client.users.create("dana@example.com", role="member", user_id="dana")
            made = [client.keys.create(user="dana").key.name for _ in range(5)]
            for user in ("dana", "dana@example.com", "workspaces/default/users/dana"):
                assert client.users.get(user) == dana
                listed = client.keys.list(user=user, page_size=2)
                assert [key.name for key in listed] == made[::-1]
            assert client.keys.get(made[0]) == client.keys.get(made[0].rpartition("/")[2])
            assert client.keys.revoke(made[0]).state is KeyState.REVOKED
            assert client.whoami().user.email == "admin@localhost"

    await asyncio.to_thread(use)


async def test_the_client_needs_no_call_to_learn_a_workspace_that_is_given(
    service: Service, tmp_path: Path
) -> None:
    def use() -> None:
        with Client(service.uri, service.admin_token, workspace="default") as client:
            created = client.keys.create(display_name="given", role="viewer")
            assert created.key.role == "workspaces/default/roles/viewer"
            assert created.token.reveal() not in repr(created)
            assert client.authenticate(created.token).credential.display_name == "given"

    await asyncio.to_thread(use)


async def test_why_a_key_may_not_do_something_is_seen_at_a_glance(keywright: Keywright) -> None:
    await keywright("users", "create", "eve@example.com", "--user-id", "eve", "--role", "member")
    await keywright(
        "keys", "create", "--user", "eve", "--key-id", "why", "--scope", "datasets.read"
    )

    why = await keywright("explain", "why", "datasets.write", "--resource", "projects/abc")
    assert why.code == 0, "it was explained"
    first, *lines = why.out.splitlines()
    assert first == "✗ denied: PERMISSION_MISSING: lacks datasets.write"
    (decides,) = [line for line in lines if "<- decides" in line]
    assert "✗ the key is narrowed to its scopes" in decides
    assert decides.endswith("workspaces/default/keys/why")

    of_user = ("explain", "--user", "eve@example.com", "datasets.write", "-o", "json")
    assert (await keywright(*of_user)).json["allowed"]
    for_eve = await keywright("explain", "--user", "nobody", "datasets.write")
    assert for_eve.code == 5
