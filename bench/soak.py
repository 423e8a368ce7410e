"""Many calls of one server: whether its memory or its open files grow.

Measured are the resident memory and the open descriptors of `keywright serve` before, at each tenth
and after so many calls (`--calls`) of `Authenticate`. Most are of keys that it remembers, from
h2load if it is installed; between them come many different keys and forged tokens, so that what it
remembers fills up, which is bounded, and is thrown away again. Connections are made anew all the
time, as those of clients are. It prints as it goes; ten million calls take about an hour.
"""

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import h2load, http2, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.loader import load_tokens
from bench.server import Postgres
from bench.table import show
from keywright.domain.token import TokenFormat

_TENTHS = 10
_WARM_UP_SHARE = 0.01
_SAME_KEY_SECONDS = 1.0
_DIFFERENT = 500  # calls over one lot of connections
_CONNECTIONS = 4
_IN_FLIGHT = 32
_FORGED_EVERY = 2
_CACHE = "16MiB"  # soon full: what is remembered of forged tokens takes 100 bytes each
_KEYS = 10_000
_FORMAT = TokenFormat()
_OK, _UNAUTHENTICATED = 0, 16
_RESOURCE_EXHAUSTED, _UNAVAILABLE = 8, 14  # on a machine that others use


@dataclass(frozen=True, slots=True)
class State:
    """What the server has, after so many calls."""

    calls: int
    seconds: float
    resident: int
    descriptors: int


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table, and each of its lines as soon as it is there."""
    dsn, admin_token = await postgres.database("soak")
    tokens = await load_tokens(dsn, min(_KEYS, -(-effort.soaked // 100) * 10))
    states: list[State] = []
    async with server.keywright(dsn, cache_bytes=_CACHE) as at:
        admin = Admin(at.channel, admin_token)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        known, turns = list(map(request, tokens)), itertools.count()
        bodies = _bodies(known)
        codes: Counter[int] = Counter()

        async def same_key() -> int:
            if not h2load.is_installed():
                return 0
            body = known[next(turns) % len(known)]
            seen = await h2load.load(
                at.address,
                AUTHENTICATE,
                [body],
                sidecar,
                in_flight=_IN_FLIGHT,
                seconds=_SAME_KEY_SECONDS,
                connections=_CONNECTIONS,
                core=None,
            )
            return len(seen.latencies)

        async def different_keys(count: int) -> int:
            answers = await http2.calls(
                at.address,
                AUTHENTICATE,
                list(itertools.islice(bodies, count)),
                sidecar,
                in_flight=_IN_FLIGHT,
                connections=_CONNECTIONS,
            )
            codes.update(answers.codes)
            assert answers.codes.total() == count, "each is answered"
            decided = {_OK, _UNAUTHENTICATED}
            assert not set(codes) - decided - {_RESOURCE_EXHAUSTED, _UNAVAILABLE}, codes
            return count

        async def answer(count: int) -> int:
            answered = 0
            while answered < count:
                answered += await same_key()
                answered += await different_keys(_DIFFERENT)
            return answered

        def note(calls: int) -> None:
            states.append(
                State(calls, time.monotonic() - began, at.resident_bytes(), at.descriptor_count())
            )
            print(f"{calls:,} calls: {' / '.join(_cells(states[-1], states[0]))}", flush=True)

        await answer(int(effort.soaked * _WARM_UP_SHARE))  # what a server takes once it is in use
        began, calls = time.monotonic(), 0
        note(calls)
        for tenth in range(1, _TENTHS + 1):
            calls += await answer(effort.soaked * tenth // _TENTHS - calls)
            note(calls)
    _table(states, codes)


def _table(states: Sequence[State], codes: Counter[int]) -> None:
    since = states[1]
    undecided = codes[_RESOURCE_EXHAUSTED] + codes[_UNAVAILABLE]
    grown = (states[-1].resident - since.resident) / max(1, states[-1].calls - since.calls)
    show(
        "One server, many calls",
        f"{_KEYS:,} keys at most: each second another one, again and again, and between them "
        f"{_DIFFERENT} different ones, of which one in {_FORGED_EVERY} is forged; the server has "
        f"{_CACHE} for what it remembers; {_IN_FLIGHT} in flight over {_CONNECTIONS} connections, "
        f"new ones each time. Of the different ones "
        f"{codes[_OK]:,} were allowed, {codes[_UNAUTHENTICATED]:,} denied, and "
        f"{undecided:,} were not decided. The baseline is the first line, after "
        f"{_WARM_UP_SHARE:.0%} as many calls. From the first tenth to the end the memory grew by "
        f"{grown:.2f} bytes a call. The aim is no growth once the caches are full.",
        ("calls", "seconds", "resident MiB", "more MiB", "descriptors", "more"),
        [(f"{each.calls:,}", *_cells(each, states[0])) for each in states],
    )


def _cells(state: State, base: State) -> Sequence[str]:
    return (
        f"{state.seconds:,.0f}",
        f"{state.resident / 2**20:.1f}",
        f"{(state.resident - base.resident) / 2**20:+.1f}",
        str(state.descriptors),
        f"{state.descriptors - base.descriptors:+}",
    )


def _bodies(known: list[bytes]) -> Iterator[bytes]:
    for number in itertools.count(1):
        if number % _FORGED_EVERY:
            yield known[number % len(known)]
        else:
            yield request(_FORMAT.render(_FORMAT.mint("live", os.urandom)).reveal())
