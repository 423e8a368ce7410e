"""What is told of a token before anything is looked up."""

from datetime import timedelta

import pytest

from keywright.domain.errors import Denied, Reason
from keywright.domain.token import TokenFormat
from keywright.security.cache import MIN_BYTES, Cache
from keywright.service.memory import TEXT_MAX_LENGTH, Memory
from keywright.service.replica.lease import Lease
from keywright.service.token_shapes import TokenShapes
from tests.support.clock import FakeClock


@pytest.fixture(name="memory")
def _memory() -> Memory:
    """Of a server that has looked nothing up yet, nor what tokens of other products look like."""
    clock = FakeClock()
    shapes = TokenShapes(None, clock)  # type: ignore[arg-type]
    return Memory(
        TokenFormat(), shapes, Cache(MIN_BYTES), bytes(32), Lease(timedelta(seconds=1), clock)
    )


@pytest.mark.parametrize("beginning", ["", "kw_live_"])
def test_what_is_longer_than_any_token_is_denied_at_once(memory: Memory, beginning: str) -> None:
    longest = beginning.ljust(TEXT_MAX_LENGTH, "x")

    assert memory.of(longest, None) is None, "it may be a token of another product"
    denied = memory.of(longest + "x", None)
    assert isinstance(denied, Denied)
    assert denied.reason is Reason.TOKEN_MALFORMED
    assert denied.details == {"defect": "too_long"}
