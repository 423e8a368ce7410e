"""One credential is presented, or none; what could be two is refused."""

import pytest

from keywright.sdk.drop_ins.asgi import _address
from keywright.sdk.drop_ins.presented import CredentialReader, RefusedCredential, address_of


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], ""),
        ([("authorization", "Bearer kw_1")], "kw_1"),
        ([("authorization", "bearer kw_1")], "kw_1"),
        ([("authorization", "BEARER   kw_1")], "kw_1"),
        ([("authorization", "Basic dTprd18x")], ""),
        ([("authorization", "kw_1")], ""),
        ([("x-api-key", "kw_1")], "kw_1"),
    ],
)
def test_a_token_is_taken_from_where_it_may_be(headers: list[tuple[str, str]], token: str) -> None:
    assert CredentialReader(api_key_header="X-API-Key")(headers) == token


def test_only_headers_that_were_named_are_looked_at() -> None:
    assert CredentialReader().headers == ("authorization",)
    assert CredentialReader(api_key_header="X-Key").headers == ("authorization", "x-key")
    only = CredentialReader(bearer=False, api_key_header="X-Key")
    assert only.headers == ("x-key",)
    basic = CredentialReader(bearer=False, basic=True)
    assert basic([("authorization", "Basic dTprd18x")]) == "kw_1"
    assert basic([("authorization", "Bearer kw_1")]) == ""


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer kw_1"), ("authorization", "Bearer kw_1")],
        [("authorization", "Bearer kw_1"), ("x-api-key", "kw_1")],
        [("authorization", "Basic dXNlcg=="), ("x-api-key", "kw_1")],
        [("x-api-key", "kw_1"), ("x-api-key", "kw_2")],
        [("authorization", "Bearer kw_1, Bearer kw_2")],
        [("authorization", "Bearer kw_1,kw_2")],
        [("authorization", "Bearer kw_1 ")],
        [("authorization", " Bearer kw_1")],
        [("authorization", "")],
        [("authorization", "Bearer kw_ä")],
        [("authorization", f"Bearer kw_{1_024 * 'a'}")],
        [("authorization", "Bearer kw_1 kw_2")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer")],
        [("x-api-key", "")],
        [("x-api-key", "kw_1, kw_2")],
        [("x-api-key", "kw_1\tkw_2")],
        [("authorization", "Bearer kw_1\x00")],
    ],
)
def test_what_could_be_two_credentials_or_is_none_is_refused(
    headers: list[tuple[str, str]],
) -> None:
    with pytest.raises(RefusedCredential) as refused:
        CredentialReader(api_key_header="x-api-key")(headers)
    assert refused.value.reason == "CREDENTIAL_REFUSED"
    assert "kw_" not in str(refused.value)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:[2001:db8::1]:4711", "2001:db8::1"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4711", ""),
        ("ipv6:[fe80::1%eth0]:4711", ""),
        ("unix:/run/app.sock", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer_is_read(peer: str, address: str) -> None:
    assert address_of(peer) == address


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("fe80::1%eth0", 1), ""),
        (("testclient", 1), ""),
        (None, ""),
    ],
)
def test_the_address_of_an_asgi_client_is_one_that_the_server_takes(
    client: tuple[str, int] | None, address: str
) -> None:
    assert _address({"client": client}) == address
