"""How commands end, on a server that fails in each way a real one may."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from typer.main import get_command
from typer.testing import CliRunner, Result

from keywright.cli import app
from keywright.cli.exits import ExitCode
from keywright.v1 import auth_service_pb2 as auth
from keywright.v1 import auth_service_pb2_grpc, key_pb2, key_service_pb2_grpc
from keywright.v1 import key_service_pb2 as keys

ROOT = Path(__file__).resolve().parents[2]
NAME = "workspaces/w/keys/k"


@dataclass
class Server(key_service_pb2_grpc.KeyServiceServicer, auth_service_pb2_grpc.AuthServiceServicer):
    """Fails as the test says; with nothing said it answers."""

    uri: str = ""
    code: str = ""
    reason: str = ""
    asked: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    tokens: list[str] = field(default_factory=list)

    def fails(self, code: str, reason: str = "") -> None:
        self.code, self.reason = code, reason

    def _answer(self, context: grpc.ServicerContext) -> None:
        if not self.code:
            return
        info = any_pb2.Any()
        info.Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain="keywright.dev"))
        status = status_pb2.Status(
            code=code_pb2.Code.Value(self.code), message="no", details=[info]
        )
        context.abort_with_status(rpc_status.to_status(status))

    def GetKey(  # noqa: N802
        self, request: keys.GetKeyRequest, context: grpc.ServicerContext
    ) -> keys.GetKeyResponse:
        self._answer(context)
        return keys.GetKeyResponse(key=key_pb2.Key(name=request.name))

    def RevokeKey(  # noqa: N802
        self, request: keys.RevokeKeyRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        assert request.name == NAME
        self.asked.set()
        self.go_on.wait(30)
        context.abort(grpc.StatusCode.INTERNAL, "too late")

    def Authenticate(  # noqa: N802
        self, request: auth.AuthenticateRequest, context: grpc.ServicerContext
    ) -> auth.AuthenticateResponse:
        self.tokens.append(request.token)
        self._answer(context)
        return auth.AuthenticateResponse(workspace="workspaces/w")


@pytest.fixture
def server() -> Iterator[Server]:
    serving = grpc.server(ThreadPoolExecutor(4))
    servicer = Server()  # type: ignore[abstract]  # what it lacks is UNIMPLEMENTED
    key_service_pb2_grpc.add_KeyServiceServicer_to_server(servicer, serving)
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(servicer, serving)
    servicer.uri = f"127.0.0.1:{serving.add_insecure_port('127.0.0.1:0')}"
    serving.start()
    yield servicer
    servicer.go_on.set()
    serving.stop(None).wait(10)


Keywright = Callable[..., Result]


@pytest.fixture
def keywright(server: Server, monkeypatch: pytest.MonkeyPatch) -> Keywright:
    monkeypatch.setenv("KEYWRIGHT_URI", server.uri)
    monkeypatch.setenv("KEYWRIGHT_API_KEY", "own-key")

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, arguments, input=stdin)

    return run


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("UNAUTHENTICATED", "CALLER_CREDENTIAL_INVALID", ExitCode.UNAUTHENTICATED),
        ("PERMISSION_DENIED", "CALLER_PERMISSION_MISSING", ExitCode.PERMISSION_DENIED),
        ("PERMISSION_DENIED", "AUTHORITY_EXCEEDED", ExitCode.PERMISSION_DENIED),
        ("NOT_FOUND", "RESOURCE_NOT_FOUND", ExitCode.NOT_FOUND),
        ("INVALID_ARGUMENT", "FIELD_INVALID", ExitCode.INVALID_ARGUMENT),
        ("ALREADY_EXISTS", "RESOURCE_ALREADY_EXISTS", ExitCode.CONFLICT),
        ("FAILED_PRECONDITION", "LAST_ADMIN", ExitCode.CONFLICT),
        ("ABORTED", "CONCURRENT_UPDATE", ExitCode.CONFLICT),
        ("RESOURCE_EXHAUSTED", "OVERLOADED", ExitCode.UNAVAILABLE),
        ("UNAVAILABLE", "DATABASE_UNAVAILABLE", ExitCode.UNAVAILABLE),
        ("DEADLINE_EXCEEDED", "WAIT_DEADLINE_EXCEEDED", ExitCode.UNAVAILABLE),
        ("INTERNAL", "INTERNAL", ExitCode.INTERNAL),
        ("UNIMPLEMENTED", "METHOD_UNIMPLEMENTED", ExitCode.INTERNAL),
        ("DATA_LOSS", "", ExitCode.INTERNAL),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(
    keywright: Keywright, server: Server, code: str, reason: str, expected: ExitCode
) -> None:
    server.fails(code, reason)
    result = keywright("keys", "get", NAME)
    assert result.exit_code == expected
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {reason}")


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_a_denied_token_is_told_apart_from_ones_own_credential(
    keywright: Keywright, server: Server, code: str
) -> None:
    server.fails(code, "KEY_REVOKED")
    assert keywright("authenticate", stdin="t\n").exit_code == ExitCode.TOKEN_DENIED
    assert server.tokens == ["t"]
    for reason, expected in (
        ("CALLER_CREDENTIAL_INVALID", ExitCode.UNAUTHENTICATED),
        ("CALLER_PERMISSION_MISSING", ExitCode.PERMISSION_DENIED),
    ):
        server.fails("FAILED_PRECONDITION", reason)
        assert keywright("authenticate", stdin="t\n").exit_code == expected


def test_a_denial_of_ones_own_token_is_about_ones_own_credential(
    keywright: Keywright, server: Server
) -> None:
    server.fails("UNAUTHENTICATED", "KEY_REVOKED")
    assert keywright("whoami").exit_code == ExitCode.UNAUTHENTICATED
    assert server.tokens == ["own-key"]


def test_a_server_that_is_not_there_is_unavailable(keywright: Keywright, tmp_path: Path) -> None:
    result = keywright("whoami", "--uri", f"unix:{tmp_path}/absent.sock")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "absent.sock" in result.stderr


def test_a_bench_without_a_no_op_to_compare_with_is_an_error_and_no_load(
    keywright: Keywright, server: Server
) -> None:
    result = keywright("bench", "--duration", "1s")  # this server has no health check
    assert (result.exit_code, result.stdout) == (ExitCode.INTERNAL, "")
    assert result.stderr.startswith("error: UNIMPLEMENTED")
    assert server.tokens == []


@pytest.mark.parametrize(
    ("arguments", "expected", "told"),
    [
        (["--uri", "http://x", "whoami"], ExitCode.USAGE, "URI_MALFORMED"),
        (["whoami", "--uri", "grpc://keys.example"], ExitCode.USAGE, "PLAINTEXT_REFUSED"),
        (["whoami", "--api-key-file", "/nowhere"], ExitCode.UNAUTHENTICATED, "/nowhere"),
        (["whoami", "--api-key-file", os.devnull], ExitCode.UNAUTHENTICATED, "API_KEY_MISSING"),
        (["keys", "create", "--ttl", "1"], ExitCode.USAGE, "--ttl"),
        (["keys", "create", "--expires", "soon"], ExitCode.USAGE, "--expires"),
        (
            ["keys", "create", "--ttl", "1d", "--expires", "soon"],
            ExitCode.USAGE,
            "only one of these",
        ),
        (["keys", "create", "--label", "x"], ExitCode.USAGE, "--label"),
        (["keys", "list", "--state", "x"], ExitCode.USAGE, "--state"),
        (["users", "create", "a@b.example", "--kind", "x"], ExitCode.USAGE, "--kind"),
        (["keys", "update", "ci"], ExitCode.USAGE, "nothing to change"),
        (["keys", "update", "ci", "--etag", "v1"], ExitCode.USAGE, "nothing to change"),
        (
            ["keys", "update", "ci", "--role", "viewer", "--no-role"],
            ExitCode.USAGE,
            "--role, --no-role",
        ),
        (
            ["keys", "update", "ci", "--scope", "a", "--no-scopes"],
            ExitCode.USAGE,
            "--scope, --no-scopes",
        ),
        (
            ["keys", "update", "ci", "--ttl", "1d", "--never-expires"],
            ExitCode.USAGE,
            "--never-expires",
        ),
        (["keys", "update", "ci", "--role", ""], ExitCode.USAGE, "--no-role takes it away"),
        (["keys", "update", "ci", "--resource", ""], ExitCode.USAGE, "--no-resource takes it away"),
        (["keys", "update", "ci", "--rate-limit", "100"], ExitCode.USAGE, "--rate-limit"),
        (["keys", "update", "ci", "--ttl", "999999w"], ExitCode.USAGE, "--ttl"),
        (["keys", "create", "--resource", ""], ExitCode.USAGE, "--resource"),
        (["keys", "create", "--rate-limit", "3000000000/1m"], ExitCode.USAGE, "--rate-limit"),
        (["keys", "create", "--ttl", "99999999w"], ExitCode.USAGE, "--ttl"),
        (["keys", "create", "--display-name", "\udcff"], ExitCode.USAGE, "UTF-8"),
        (["keys", "rotate", "ci", "--grace", "soon"], ExitCode.USAGE, "--grace"),
        (["keys", "list", "--all", "--state", "active"], ExitCode.USAGE, "only one of these"),
        (["keys", "list", "--all", "--non-revoked"], ExitCode.USAGE, "only one of these"),
        (["keys", "list", "--unused-since", "long"], ExitCode.USAGE, "--unused-since"),
        (["keys", "list", "--unused-since", "99999999w"], ExitCode.USAGE, "--unused-since"),
        (["keys", "revoke-many"], ExitCode.USAGE, "say which keys"),
        (["keys", "revoke-many", "--yes"], ExitCode.USAGE, "say which keys"),
        (
            ["keys", "revoke-many", "--user", "ann", "--environment", ""],
            ExitCode.USAGE,
            "--environment",
        ),
        (["keys", "revoke-many", "--resource", "", "--user", "ann"], ExitCode.USAGE, "--resource"),
        (["users", "update", "ann"], ExitCode.USAGE, "nothing to change"),
        (["users", "update", "ann", "--email", ""], ExitCode.USAGE, "--email"),
        (["roles", "update", "auditor"], ExitCode.USAGE, "nothing to change"),
        (["grants", "create", "--user", "ann", "--role", "editor"], ExitCode.USAGE, "--resource"),
        (["workspaces", "update", "acme"], ExitCode.USAGE, "nothing to change"),
        (
            ["workspaces", "update", "--max-ttl", "1d", "--no-max-ttl"],
            ExitCode.USAGE,
            "--max-ttl, --no-max-ttl",
        ),
        (
            ["workspaces", "update", "--max-keys-per-user", "3000000000"],
            ExitCode.USAGE,
            "--max-keys-per-user",
        ),
        (["workspaces", "update", "--key-creation", "nobody"], ExitCode.USAGE, "everyone, admins"),
        (["bench", "--duration", "5"], ExitCode.USAGE, "--duration"),
        (["bench", "--duration", "0s"], ExitCode.USAGE, "1s at least"),
        (["bench", "--duration", "61s"], ExitCode.USAGE, "60s at most"),
        (["bench", "--in-flight", "0"], ExitCode.USAGE, "1 at least"),
        (["bench", "--in-flight", "257"], ExitCode.USAGE, "256 at most"),
        (["bench", "--in-flight", "many"], ExitCode.USAGE, "--in-flight"),
        (["bench", "--token-file", os.devnull], ExitCode.USAGE, "there is none in"),
        (["bench", "--token-file", "/nowhere"], ExitCode.UNAUTHENTICATED, "/nowhere"),
        (["bench", "--token-file", "-"], ExitCode.USAGE, "none on stdin"),
        (["bench", "--api-key-file", os.devnull], ExitCode.UNAUTHENTICATED, "API_KEY_MISSING"),
        (["bench", "kw_live_secret"], ExitCode.USAGE, "pipe it in"),
        (["bench", "--uri", "grpc://keys.example"], ExitCode.USAGE, "PLAINTEXT_REFUSED"),
        (["keys", "get"], ExitCode.USAGE, "KEY"),
        (["-o", "xml", "whoami"], ExitCode.USAGE, "xml"),
        (["nothing"], ExitCode.USAGE, "nothing"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_before_anything_is_sent(
    keywright: Keywright, server: Server, arguments: list[str], expected: ExitCode, told: str
) -> None:
    result = keywright(*arguments)
    assert result.exit_code == expected
    assert told in " ".join(result.stderr.replace("│", " ").split())  # it is folded in a frame
    assert "Traceback" not in result.output
    assert server.tokens == []


def test_a_missing_key_says_where_it_was_looked_for(
    keywright: Keywright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEYWRIGHT_API_KEY")
    result = keywright("whoami")
    assert result.exit_code == ExitCode.UNAUTHENTICATED
    assert "KEYWRIGHT_API_KEY" in result.stderr
    assert "--api-key-file" in result.stderr


def test_a_token_on_the_command_line_is_refused_and_not_repeated(
    keywright: Keywright, server: Server
) -> None:
    result = keywright("authenticate", "kw_live_secret", stdin="t\n")
    assert result.exit_code == ExitCode.USAGE
    assert "pipe it in" in result.stderr
    assert "kw_live_secret" not in result.output
    assert server.tokens == []


def test_an_empty_stdin_is_no_token(keywright: Keywright, server: Server) -> None:
    assert keywright("authenticate", stdin="\n").exit_code == ExitCode.USAGE
    assert server.tokens == []


def test_a_key_comes_from_a_file_if_one_is_named(
    keywright: Keywright, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("file-key\n")
    assert keywright("--api-key-file", str(tmp_path / "key"), "whoami").exit_code == ExitCode.OK
    assert server.tokens == ["file-key"]


def test_an_option_after_the_command_wins_over_one_before_it(keywright: Keywright) -> None:
    for arguments in (["-o", "json", "version"], ["-o", "table", "version", "-o", "json"]):
        assert keywright(*arguments).stdout.startswith("{")
    assert keywright("-o", "json", "version", "-o", "table").stdout.startswith("keywright ")


def test_ctrl_c_during_a_call_ends_with_130_and_without_a_traceback(server: Server) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "keywright", "keys", "revoke", NAME],
        env={**os.environ, "KEYWRIGHT_URI": server.uri, "KEYWRIGHT_API_KEY": "own-key"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert server.asked.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["keys", "create", "--help"]])
def test_help_and_version_do_not_wait_for_grpc_to_be_imported(arguments: list[str]) -> None:
    code = (
        "import sys; from keywright.cli import app; app(standalone_mode=False);"
        "sys.exit('grpc' in sys.modules or 'google.protobuf' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, timeout=60
    )
    assert run.returncode == 0, run.stderr


def commands(within: Any = None, path: tuple[str, ...] = ()) -> list[list[str]]:
    inner = getattr(within or get_command(app), "commands", None)
    if inner is None:
        return [list(path)]
    return [found for name, each in inner.items() for found in commands(each, (*path, name))]


def test_the_guide_says_what_every_command_does() -> None:
    guide = (ROOT / "docs" / "guides" / "cli.md").read_text()
    table = guide.split("| command | does |")[1].split("\n\n")[0]
    told = re.findall(r"`([a-z -]+)`(?=[^|]*\|[^|]*\|\n)", f"{table}\n")
    assert sorted(told) == sorted(" ".join(each) for each in commands())


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_shows_an_example_and_the_shared_options(
    keywright: Keywright, command: list[str]
) -> None:
    told = keywright(*command, "--help").stdout
    assert re.search(rf"Example: .*keywright {' '.join(command)}", told)
    assert "--uri" in told
    assert "--output" in told
    assert "--api-key " not in told  # a key on the command line shows in lists of processes


def test_help_and_guide_list_every_exit_code(keywright: Keywright) -> None:
    told = keywright("--help").stdout
    guide = (ROOT / "docs" / "guides" / "cli.md").read_text()
    for code in ExitCode:
        assert f"{code.value}: {code.meaning}" in " ".join(told.split())
        assert f"| {code.value} | {code.meaning} |" in guide
