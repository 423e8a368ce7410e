"""The client's address, as proxies tell it in `X-Forwarded-For`."""

from ipaddress import ip_network

import pytest

from keywright.sidecar.forwarded import MisleadingProxy, client_address

TRUSTED = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("", ""),
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7, 10.0.0.1,127.0.0.1", "192.0.2.7"),
        ("::ffff:192.0.2.7, ::1", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
        ("::ffff:10.0.0.2, 10.0.0.1", "10.0.0.2"),
        # What a client sends stands first, and is as it likes.
        ("unknown, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.1:4711, _hidden, , 192.0.2.7, 10.0.0.1", "192.0.2.7"),
    ],
)
def test_the_last_address_that_is_no_proxys_is_the_clients(forwarded_for: str, client: str) -> None:
    assert client_address(forwarded_for, TRUSTED) == client


@pytest.mark.parametrize("forwarded_for", ["unknown", "192.0.2.1, unknown", "unknown, 10.0.0.1"])
def test_what_a_proxy_tells_has_to_be_an_address(forwarded_for: str) -> None:
    with pytest.raises(MisleadingProxy):
        client_address(forwarded_for, TRUSTED)
