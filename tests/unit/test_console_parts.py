"""Parts of the console: attempts, addresses, lifetimes, times, what one may give."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from keywright.console import csrf, lifetimes, times
from keywright.console.addresses import client_address
from keywright.console.attempts import Attempts
from keywright.console.authority import covers
from keywright.console.forms import Form
from keywright.console.provider import Begun
from keywright.console.visit import HOME, local
from keywright.sdk import KeyPolicy, Secret

PROXIES = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- attempts ---------------------------------------------------------------------------------


def test_so_many_attempts_a_minute_go_through_and_then_one_at_a_time() -> None:
    clock = Clock()
    attempts = Attempts(3, clock=clock)
    assert [attempts.wait_seconds("192.0.2.1") for _ in range(3)] == [0, 0, 0]
    assert attempts.wait_seconds("192.0.2.1") == pytest.approx(20)
    assert attempts.wait_seconds("192.0.2.2") == 0, "others do not wait"
    clock.now += 20
    assert attempts.wait_seconds("192.0.2.1") == 0
    assert attempts.wait_seconds("192.0.2.1") > 0


def test_a_network_of_ipv6_is_one_address() -> None:
    attempts = Attempts(1, clock=Clock())
    assert attempts.wait_seconds("2001:db8::1") == 0
    assert attempts.wait_seconds("2001:db8::2") > 0
    assert attempts.wait_seconds("2001:db8:0:1::1") == 0


def test_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    attempts = Attempts(1, max_count=2, clock=Clock())
    for last in (1, 2, 3):
        assert attempts.wait_seconds(f"192.0.2.{last}") == 0
    assert attempts.wait_seconds("192.0.2.3") > 0
    assert attempts.wait_seconds("192.0.2.1") == 0, "the oldest was forgotten"


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "told", "found"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7, 10.1.1.1", "198.51.100.7"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
        ("", "198.51.100.7", "198.51.100.7"),
        ("", "", ""),
    ],
)
def test_an_address_is_that_of_the_last_hop_that_nobody_can_make_up(
    peer: str, told: str, found: str
) -> None:
    headers = [(b"x-forwarded-for", told.encode())] if told else []
    scope: dict[str, Any] = {"type": "http", "headers": headers}
    scope["client"] = (peer, 1) if peer else None
    assert client_address(scope, PROXIES) == found


# --- lifetimes --------------------------------------------------------------------------------


def test_lifetimes_are_those_that_the_policy_allows() -> None:
    free = lifetimes.choices(KeyPolicy())
    assert list(free) == ["1d", "1w", "30d", "90d", "25w", "365d", "none", "custom"]
    strict = KeyPolicy(expiry_required=True, max_ttl=timedelta(days=8))
    assert lifetimes.choices(strict) == {
        "1d": "1 day",
        "1w": "1 week",
        "longest": "8 days (longest here)",
        "custom": "Custom",
    }
    assert "none" not in lifetimes.choices(KeyPolicy(expiry_required=True))
    usual = KeyPolicy(default_ttl=timedelta(days=3))
    assert lifetimes.preferred(usual) == "default"


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({"validity": "none"}, {"never_expires": True}),
        ({"validity": "1w"}, {"ttl": timedelta(weeks=1)}),
        (
            {"validity": "custom", "validity_count": "3", "validity_unit": "hour"},
            {"ttl": timedelta(hours=3)},
        ),
        ({}, {"ttl": timedelta(days=90)}),
    ],
)
def test_a_lifetime_is_as_it_was_chosen(fields: dict[str, str], given: dict[str, object]) -> None:
    form = Form(list(fields.items()))
    assert lifetimes.chosen(form, KeyPolicy()) == given
    assert not form.errors


def test_lengths_are_said_as_people_say_them() -> None:
    assert times.length(timedelta(weeks=2)) == "2 weeks"
    assert times.length(timedelta(hours=36)) == "36 hours"
    assert times.length(timedelta(seconds=1)) == "1 second"
    assert times.roughly(timedelta(days=5, hours=3)) == "5 days"


# --- the rest ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "pattern", "may"),
    [
        (["*"], "anything.*", True),
        (["a.*"], "a.b.*", True),
        (["a.*"], "a", False),
        (["a.b"], "a.*", False),
        (["a.b", "a.*"], "a.c", True),
        ([], "a", False),
    ],
)
def test_one_pattern_covers_another(own: list[str], pattern: str, *, may: bool) -> None:
    assert covers(own, pattern) is may


@pytest.mark.parametrize("target", ["/keys", "/keys/a?b=%20&c=d#e", "/sign-in"])
def test_pages_of_ours_are_gone_on_to(target: str) -> None:
    assert local(target) == target


@pytest.mark.parametrize("target", ["//a", "/\\a", "https://a", "a", "", "/ü", "/\x01", "\t//a"])
def test_nothing_else_is_gone_on_to(target: str) -> None:
    assert local(target) == HOME


def test_a_token_of_a_form_is_bound_to_its_cookie() -> None:
    one, other = Secret("one"), Secret("other")
    assert csrf.is_ours(csrf.token_for(one), one)
    assert not csrf.is_ours(csrf.token_for(one), other)
    assert not csrf.is_ours("", one)


@pytest.mark.parametrize("packed", [None, Secret(""), Secret("e30="), Secret("W10="), Secret("%")])
def test_what_is_no_sign_in_of_ours_was_not_begun(packed: Secret | None) -> None:
    assert Begun.unpack(packed) is None
    begun = Begun("s", "n", "v", "/keys")
    assert Begun.unpack(begun.packed()) == begun


def test_a_form_shows_again_what_was_filled_in_but_for_what_is_its_own() -> None:
    form = Form([("csrf_token", "c"), ("request_id", "r"), ("name", "a & b"), ("scopes", "a b\nc")])
    assert form.query() == "name=a+%26+b&scopes=a+b%0Ac"
    assert form.texts("scopes") == ["a", "b", "c"]
    assert form.lines("scopes") == "a b\nc"


def test_times_in_a_message_are_elements_and_all_else_is_escaped() -> None:
    told = times.within("<b> stands until 2027-02-27T08:31:00.957078+00:00")
    element = '<time datetime="2027-02-27T08:31:00Z">27 Feb 2027, 08:31 UTC</time>'
    assert told == f"&lt;b&gt; stands until {element}"
