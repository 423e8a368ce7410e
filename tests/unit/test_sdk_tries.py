"""When a call is made again, and after how long."""

import importlib
import pkgutil
from datetime import timedelta

import pytest

from keywright.sdk import calls, errors
from keywright.sdk.connection.flow import Method
from keywright.sdk.connection.tries import Tries, make_repeatable
from keywright.sdk.errors import KeywrightError, ResourceExhausted, Unavailable
from keywright.v1 import key_service_pb2
from tests.support.service import METHODS

TEN_SECONDS = timedelta(seconds=10)


def pauses(
    error: KeywrightError, timeout: timedelta = TEN_SECONDS, *, longest: bool
) -> list[float]:
    """The pauses of a call that goes on failing, where waiting is all that takes time."""
    now = 0.0
    tries = Tries(timeout, clock=lambda: now, dice=(lambda _, b: b) if longest else lambda a, _: a)
    made = []
    while (pause := tries.pause_after(error)) is not None:
        made.append(pause)
        now += pause
    return made


def test_what_is_out_of_reach_is_tried_again_after_longer_and_longer() -> None:
    assert pauses(Unavailable("gone"), longest=True) == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses(Unavailable("gone"), longest=False) == pytest.approx([0.05, 0.1, 0.2, 0.4])


def test_no_try_is_begun_after_the_deadline_of_all() -> None:
    assert pauses(Unavailable("gone"), timedelta(seconds=0.5), longest=True) == [0.1, 0.2]


def test_a_server_is_left_alone_for_as_long_as_it_asks() -> None:
    starting = Unavailable("starting", retry_delay=timedelta(seconds=1))
    assert pauses(starting, longest=True) == pytest.approx([1.1, 1.2, 1.4, 1.8])
    assert pauses(starting, timedelta(seconds=1), longest=True) == []


def test_an_overloaded_server_has_done_nothing_and_is_asked_again() -> None:
    busy = ResourceExhausted("busy", reason="OVERLOADED", retry_delay=timedelta(seconds=1))
    assert len(pauses(busy, longest=True)) == 4


@pytest.mark.parametrize(
    "error",
    [
        # It is for the caller to answer 429, at once.
        ResourceExhausted("often", reason="RATE_LIMITED", retry_delay=timedelta(seconds=1)),
        ResourceExhausted("often", reason="FAILURES_LIMITED", retry_delay=timedelta(seconds=1)),
        ResourceExhausted("long", reason="REQUEST_TOO_LARGE"),
        Unavailable("name", reason="TLS_NAME_MISMATCH"),
        Unavailable("http", reason="PROTOCOL_MISMATCH"),
        errors.DeadlineExceeded("late"),
        errors.Aborted("changed"),
        errors.Internal("fault"),
        errors.Unauthenticated("who"),
        errors.Cancelled("closed"),
    ],
    ids=lambda error: error.reason,
)
def test_what_would_end_alike_or_too_late_is_not_tried_again(error: KeywrightError) -> None:
    assert pauses(error, longest=True) == []


def test_every_change_of_the_sdk_can_be_repeated() -> None:
    called = {
        each.name
        for module in pkgutil.iter_modules(calls.__path__)
        for each in vars(importlib.import_module(f"{calls.__name__}.{module.name}")).values()
        if isinstance(each, Method)
    }
    reads = ("Authenticate", "Explain", "Get", "List", "Lookup", "Query", "Verify")
    for name in called:
        _, request, _ = METHODS[name]
        is_change = not name.startswith(reads) and name != "ReportLeakedToken"
        assert is_change == ("request_id" in request.DESCRIPTOR.fields_by_name), name
    assert {"CreateKey", "GetKey", "DeleteUser"} <= called


def test_each_change_is_a_call_of_its_own_unless_the_caller_says_otherwise() -> None:
    first, second = key_service_pb2.RevokeKeyRequest(), key_service_pb2.RevokeKeyRequest()
    for request in (first, second):
        make_repeatable(request)
    assert first.request_id != second.request_id
    mine = key_service_pb2.RevokeKeyRequest(request_id="mine")
    make_repeatable(mine)
    assert mine.request_id == "mine"
    make_repeatable(key_service_pb2.GetKeyRequest())
