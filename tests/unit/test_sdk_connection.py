"""Where a client connects to, and what it refuses to send a key over."""

from pathlib import Path

import pytest

from keywright.sdk import Client, ConfigurationError
from keywright.sdk.connection.address import Address
from keywright.sdk.connection.connection import TlsFiles
from tests.unit.test_tls_files import ONE, OTHER


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("127.0.0.1:7700", Address("dns:///127.0.0.1:7700", tls=False, stays_here=True)),
        ("127.8.9.1:1", Address("dns:///127.8.9.1:1", tls=False, stays_here=True)),
        ("localhost", Address("dns:///localhost:7700", tls=False, stays_here=True)),
        ("[::1]:7700", Address("dns:///[::1]:7700", tls=False, stays_here=True)),
        ("grpc://10.0.0.1:80", Address("dns:///10.0.0.1:80", tls=False, stays_here=False)),
        (
            "grpc://localhost.example:80/",
            Address("dns:///localhost.example:80", tls=False, stays_here=False),
        ),
        (
            "grpcs://keys.example:443",
            Address("dns:///keys.example:443", tls=True, stays_here=False),
        ),
        ("GRPCS://keys.example", Address("dns:///keys.example:7700", tls=True, stays_here=False)),
        ("grpcs://[2001:db8::1]", Address("dns:///[2001:db8::1]:7700", tls=True, stays_here=False)),
        ("xds:7700", Address("dns:///xds:7700", tls=False, stays_here=False)),
        ("unix:/run/kw.sock", Address("unix:/run/kw.sock", tls=False, stays_here=True)),
        ("unix:///run/kw.sock", Address("unix:/run/kw.sock", tls=False, stays_here=True)),
        (
            "unix:/run/key wright.sock",
            Address("unix:/run/key%20wright.sock", tls=False, stays_here=True),
        ),
        (
            "127.0.0.1:1,127.0.0.2:2",
            Address(
                "ipv4:127.0.0.1:1,127.0.0.2:2", tls=False, stays_here=True, authority="127.0.0.1:1"
            ),
        ),
        (
            "grpcs://10.0.0.1,10.0.0.2:443,grpcs://10.0.0.3",
            Address(
                "ipv4:10.0.0.1:7700,10.0.0.2:443,10.0.0.3:7700",
                tls=True,
                stays_here=False,
                authority="10.0.0.1:7700",
            ),
        ),
        (
            "[::1]:1,[2001:db8::1]:2",
            Address(
                "ipv6:[::1]:1,[2001:db8::1]:2", tls=False, stays_here=False, authority="[::1]:1"
            ),
        ),
    ],
)
def test_an_address_is_understood_in_each_of_its_forms(uri: str, address: Address) -> None:
    assert Address.parse(uri) == address


@pytest.mark.parametrize(
    "uri",
    [
        "http://keys.example",
        "https://keys.example:7700",
        "grpc://",
        "grpc://keys.example:0",
        "grpc://keys.example:65536",
        "grpc://keys.example:seven",
        "grpc://user@keys.example",
        "grpcs://keys.example/v1",
        "grpcs://keys.example?x=1",
        "::1:7700",
        "[not-an-address]:7700",
        "[abc]:7700",
        "[127.0.0.1]:7700",
        "unix:run/kw.sock",
        "unix://run/kw.sock",
        "unix:",
        "127.0.0.1 :7700",
        "127.0.0.1:7700\n",
        "ke\x1bys:7700",
        "127.0.0.1:1,",
        "127.0.0.1:1, 127.0.0.2:2",
        "127.0.0.1:1,unix:/run/kw.sock",
    ],
)
def test_a_malformed_address_is_refused_with_the_forms_that_are_right(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="grpcs://host:7700") as refused:
        Address.parse(uri)
    assert refused.value.reason == "URI_MALFORMED"
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("127.0.0.1:1,grpcs://127.0.0.2:2", "mixes grpc:// and grpcs://"),
        ("grpcs://127.0.0.1:1,grpc://127.0.0.2:2", "mixes grpc:// and grpcs://"),
        ("a.example:1,b.example:2", "one DNS name that has all their addresses"),
        ("127.0.0.1:1,localhost:2", "one DNS name that has all their addresses"),
        ("127.0.0.1:1,[::1]:2", "all IPv4 or all IPv6"),
    ],
)
def test_servers_that_cannot_be_called_as_one_are_refused_with_what_can(
    uri: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        Address.parse(uri)
    assert refused.value.reason == "URI_MALFORMED"


@pytest.mark.parametrize("uri", ["10.0.0.1:7700", "grpc://keys.example:7700", "0.0.0.0:7700"])
def test_a_key_is_not_sent_in_plain_text_beyond_this_machine(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="plain text") as refused:
        Client(uri, "key")
    assert refused.value.reason == "PLAINTEXT_REFUSED"


def test_plain_text_is_possible_where_it_is_asked_for() -> None:
    Client("grpc://keys.example:7700", "key", allow_plaintext=True).close()


def test_a_ca_file_that_is_missing_or_holds_no_certificate_is_named(tmp_path: Path) -> None:
    for ca_file in (tmp_path / "absent.pem", tmp_path / "empty.pem"):
        if ca_file.name == "empty.pem":
            ca_file.write_text("nothing\n")
        with pytest.raises(ConfigurationError, match=ca_file.name) as refused:
            Client("grpcs://keys.example", "key", ca_file=ca_file)
        assert refused.value.reason == "TLS_FILE_INVALID"


def damaged(pem: bytes) -> bytes:
    """Without the first line of what is encoded."""
    begin, _, *others = pem.splitlines()
    return b"\n".join([begin, *others])


def test_a_certificate_that_is_damaged_is_told_before_any_call(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(b"# d\xc3\xa9j\xc3\xa0 vu\n" + ONE.certificate)
    Client("grpcs://keys.example", "key", ca_file=ca_file).close()
    ca_file.write_bytes(damaged(ONE.certificate))
    with pytest.raises(ConfigurationError, match=r"ca\.pem is damaged") as refused:
        Client("grpcs://keys.example", "key", ca_file=ca_file)
    assert refused.value.reason == "TLS_FILE_INVALID"


@pytest.mark.parametrize("key", [OTHER.key, ONE.encrypted_key, damaged(ONE.key)])
def test_a_client_key_of_no_use_with_its_certificate_is_refused(key: bytes, tmp_path: Path) -> None:
    files = TlsFiles(certificate=tmp_path / "client.pem", key=tmp_path / "client.key")
    (tmp_path / "client.pem").write_bytes(ONE.certificate)
    (tmp_path / "client.key").write_bytes(ONE.key)
    files.credentials()
    (tmp_path / "client.key").write_bytes(key)
    with pytest.raises(ConfigurationError, match=r"client\.pem and .*client\.key are") as refused:
        files.credentials()
    assert refused.value.reason == "TLS_FILE_INVALID"


def test_a_socket_whose_path_no_system_takes_is_refused() -> None:
    Client(f"unix:/{'a' * 106}", "key").close()
    with pytest.raises(ConfigurationError, match="107 bytes") as refused:
        Client(f"unix:/{'a' * 107}", "key")
    assert refused.value.reason == "URI_MALFORMED"


def test_a_ca_file_without_tls_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="grpcs://"):
        Client("127.0.0.1:7700", "key", ca_file=tmp_path / "ca.pem")


def test_a_client_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="together") as refused:
        Client("grpcs://keys.example", "key", certificate_file=tmp_path / "client.pem")
    assert refused.value.reason == "TLS_FILE_INVALID"
