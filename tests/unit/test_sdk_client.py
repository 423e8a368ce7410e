"""A client on real connections: TLS, UNIX sockets, deadlines."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest

from keywright.sdk import Client, DeadlineExceeded, Unavailable, Unimplemented
from keywright.v1 import auth_service_pb2 as auth
from keywright.v1 import auth_service_pb2_grpc
from tests.integration.test_tls import OURS
from tests.unit.test_tls_files import identity


class Server(auth_service_pb2_grpc.AuthServiceServicer):
    """Says in which workspace a token is; `slow` waits, `flaky` is answered the fourth time."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.remaining: list[float] = []
        self.callers: list[object] = []

    def Authenticate(  # noqa: N802
        self, request: auth.AuthenticateRequest, context: grpc.ServicerContext
    ) -> auth.AuthenticateResponse:
        self.callers.append(dict(context.invocation_metadata()).get("authorization"))
        if request.token == "slow":
            self.go_on.wait(30)
        if request.token == "flaky":
            self.remaining.append(context.time_remaining())
            if len(self.remaining) < 4:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return auth.AuthenticateResponse(workspace="workspaces/w")


@contextmanager
def serving(
    address: str, credentials: grpc.ServerCredentials | None = None
) -> Iterator[tuple[int, Server]]:
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = Server()  # type: ignore[abstract]  # what it lacks is UNIMPLEMENTED
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)
    port = (
        server.add_secure_port(address, credentials)
        if credentials
        else server.add_insecure_port(address)
    )
    server.start()
    try:
        yield port, servicer
    finally:
        servicer.go_on.set()
        server.stop(None).wait(10)


def test_tls_is_spoken_to_the_server_that_a_ca_file_vouches_for_and_to_no_other(
    tmp_path: Path,
) -> None:
    trusted, other = identity(), identity()
    (tmp_path / "trusted.pem").write_bytes(trusted.certificate)
    (tmp_path / "other.pem").write_bytes(other.certificate)
    credentials = grpc.ssl_server_credentials([(trusted.key, trusted.certificate)])
    with serving("127.0.0.1:0", credentials) as (port, servicer):
        uri = f"grpcs://localhost:{port}"
        with Client(uri, "own", ca_file=tmp_path / "trusted.pem") as client:
            assert client.whoami().workspace == "workspaces/w"
        assert servicer.callers == ["Bearer own"]
        for wrong_uri, ca_file in (
            (uri, tmp_path / "other.pem"),
            (uri, None),
            (f"grpcs://127.0.0.1:{port}", tmp_path / "trusted.pem"),  # another name
            (f"grpc://localhost:{port}", None),
        ):
            with Client(wrong_uri, "own", ca_file=ca_file) as client, pytest.raises(Unavailable):
                client.whoami()
        assert len(servicer.callers) == 1


def test_a_server_that_asks_for_a_client_certificate_gets_it(tmp_path: Path) -> None:
    ours, theirs = identity(), identity()
    ca_file, certificate_file, key_file = (tmp_path / name for name in ("ca", "cert", "key"))
    ca_file.write_bytes(theirs.certificate)
    certificate_file.write_bytes(ours.certificate)
    key_file.write_bytes(ours.key)
    credentials = grpc.ssl_server_credentials(
        [(theirs.key, theirs.certificate)],
        root_certificates=ours.certificate,
        require_client_auth=True,
    )
    with serving("127.0.0.1:0", credentials) as (port, _):
        uri = f"grpcs://localhost:{port}"
        with Client(
            uri, "own", ca_file=ca_file, certificate_file=certificate_file, key_file=key_file
        ) as client:
            assert client.whoami().workspace == "workspaces/w"
        with Client(uri, "own", ca_file=ca_file) as client, pytest.raises(Unavailable):
            client.whoami()


def test_two_servers_with_tls_take_turns_if_their_certificates_are_for_the_first_address(
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.pem").write_bytes(OURS.pem)
    one, other = (
        grpc.ssl_server_credentials([(key, certificate)])
        for certificate, key in (OURS.issue("one"), OURS.issue("other"))
    )
    with (
        serving("127.0.0.1:0", one) as (port, first),
        serving("127.0.0.2:0", other) as (other_port, second),
        Client(
            f"grpcs://127.0.0.1:{port},127.0.0.2:{other_port}", "own", ca_file=tmp_path / "ca.pem"
        ) as client,
    ):
        for _ in range(1000):  # the second may take longer to be reached
            client.whoami()
            if first.callers and second.callers:
                break
        assert set(first.callers) == set(second.callers) == {"Bearer own"}


def test_a_unix_socket_works_also_with_a_space_in_its_path(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    with (
        serving(f"unix:{tmp_path}/a%20b/kw.sock") as _,
        Client(f"unix:{directory}/kw.sock", "own") as client,
    ):
        assert client.whoami().workspace == "workspaces/w"


def test_no_call_waits_longer_than_its_deadline() -> None:
    with (
        serving("127.0.0.1:0") as (port, _),
        Client(f"127.0.0.1:{port}", "own", timeout=timedelta(milliseconds=50)) as client,
        pytest.raises(DeadlineExceeded),
    ):
        client.authenticate("slow")


def test_who_calls_while_another_thread_closes_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("127.0.0.1:1", "key")
    check = client._blocking._check_open

    def check_and_be_overtaken() -> None:
        check()
        client.close()

    monkeypatch.setattr(client._blocking, "_check_open", check_and_be_overtaken)
    with pytest.raises(RuntimeError, match="this client is closed"):
        client.whoami()


def test_all_tries_of_a_call_have_one_deadline() -> None:
    with serving("127.0.0.1:0") as (port, servicer):
        with Client(f"127.0.0.1:{port}", "own", timeout=timedelta(seconds=4)) as client:
            client.authenticate("flaky")
        first, *_, last = servicer.remaining
        assert last < first - 0.2, "0.35 s at least are between them; gRPC tells it roughly"


def test_the_workspace_is_asked_for_once_and_not_at_all_if_it_is_given() -> None:
    with serving("127.0.0.1:0") as (port, servicer):
        for workspace, asked in ((None, 1), ("w", 1), ("workspaces/w", 1)):
            with Client(f"127.0.0.1:{port}", "own", workspace=workspace) as client:
                for _ in range(2):
                    with pytest.raises(Unimplemented):  # this server has no keys
                        client.keys.get("k")
            assert len(servicer.callers) == asked


def test_a_time_without_a_zone_is_refused_rather_than_guessed() -> None:
    with (
        Client("127.0.0.1:1", "own", workspace="w") as client,
        pytest.raises(ValueError, match="zone"),
    ):
        client.keys.create(expire_time=datetime(2026, 1, 1))  # noqa: DTZ001
