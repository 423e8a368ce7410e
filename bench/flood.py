"""Forged tokens in a flood: what they do to good calls, and what each costs.

Measured is the latency of `Authenticate` of a remembered key, from another caller over a connection
of its own at a steady pace, while somebody presents other tokens, each once, at a steady pace as
well. Load alone makes good calls slower on a machine where all share the cores, so the baselines
are the good calls without a flood, and with a flood of valid tokens that are remembered.

The forged ones are of four kinds: an invented prefix with a checksum that is right; the prefix of a
key with another secret, the checksum right; a checksum that is wrong; and what looks like the
tokens of another product of which one was imported. Each kind comes from one client address, and
from as many as there are tokens, always from one caller, as an application's would. What the limits
let through at once is looked up when a flood begins: its first two seconds are told apart.
"""

import asyncio
import hashlib
import itertools
import random
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any

from bench import cores, h2load, http2, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall
from bench.keys import PARENT, Admin, bearer
from bench.load import Metadata, Slice, Summary, closed_loop
from bench.server import Postgres, Server
from bench.table import microseconds, milliseconds, show
from keywright.domain.token import TokenFormat
from keywright.v1 import auth_service_pb2, key_pb2, key_service_pb2_grpc
from keywright.v1 import key_service_pb2 as pb

_FORMAT = TokenFormat()
_FLOOD_PER_SECOND = 1_500
_BEGINNING_SECONDS = 2
_IN_FLIGHT = 64
_GOOD_PER_SECOND = 200
_GOOD_IN_FLIGHT = 4
_LETTERS = 64
_UNAUTHENTICATED = 16
_NONE, _VALID = "no flood", "valid tokens"
_ONE_ADDRESS = "198.51.100.7"
_STARTED = ("keywright_argon2_started_total", "keywright_imported_started_total")


@dataclass(slots=True)
class Flood:
    """A flood, and what was seen while it went on; processor time in seconds.

    Attributes:
        tokens: what is presented, without an end; None: nothing.
        addresses: from where, without an end.
        beginning: what the good calls saw while it began, of which all else here says nothing.
        good: what they saw then.
        seconds: how long that was, in all.
        hashes: how many slow hashes the server began.
    """

    name: str
    tokens: Iterator[str] | None
    addresses: Iterator[str]
    beginning: list[Slice] = field(default_factory=list)
    good: list[Slice] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    said: dict[int, str] = field(default_factory=dict)
    seconds: float = 0
    cpu: float = 0
    database_cpu: float = 0
    hashes: float = 0

    def messages(self, count: int) -> Sequence[bytes]:
        """The next so many requests."""
        return [
            auth_service_pb2.AuthenticateRequest(
                token=token, client_address=address
            ).SerializeToString()
            for token, address in zip(
                itertools.islice(self.tokens or (), count), self.addresses, strict=False
            )
        ]


@dataclass(frozen=True, slots=True)
class Attacked:
    """A server, the good call, and as whom the flood comes."""

    postgres: Postgres
    at: Server
    good: HotCall
    caller: Metadata

    async def measure(self, flood: Flood, count: int) -> None:
        """One slice, with so many tokens if it has any."""
        messages, seconds = flood.messages(count), count / _FLOOD_PER_SECOND
        before = await self._used()
        loop = asyncio.get_running_loop()
        began = loop.time()
        good = asyncio.create_task(self._good(seconds))
        if messages:
            answers = await http2.calls(
                self.at.address,
                AUTHENTICATE,
                messages,
                self.caller,
                in_flight=_IN_FLIGHT,
                per_second=_FLOOD_PER_SECOND,
            )
            flood.codes.update(answers.codes)
            flood.said.update(answers.said)
        flood.good.append(await good)
        flood.seconds += loop.time() - began
        after = await self._used()
        used = [now - then for now, then in zip(after, before, strict=True)]
        flood.cpu += used[0]
        flood.database_cpu += used[1]
        flood.hashes += used[2]

    async def _good(self, seconds: float) -> Slice:
        if not h2load.is_installed():
            return await closed_loop(self.good.check, in_flight=1, seconds=seconds)
        return await h2load.load(
            self.good.server.address,
            self.good.path,
            self.good.requests,
            self.good.metadata,
            in_flight=_GOOD_IN_FLIGHT,
            seconds=seconds,
            per_second=_GOOD_PER_SECOND,
        )

    async def _used(self) -> tuple[float, float, float]:
        hashes = [await self.at.metric(name) for name in _STARTED]
        database = server.cpu_seconds(self.postgres.pid)
        return self.at.cpu_seconds(), database, sum(hashes)


async def run(postgres: Postgres, effort: Effort, front: str = "grpc") -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database(f"flood_{front}")
    async with AsyncExitStack() as running:
        serving = server.keywright(dsn, core=cores.SERVER, front=front)
        at = await running.enter_async_context(serving)
        admin = Admin(at.channel, admin_token)
        member = await admin.service_user("member", "member")
        known = [await admin.key(member) for _ in range(10)]
        await _import_one(admin, member)
        good, flooding = [
            bearer(await admin.key(await admin.service_user(name, "authenticator")))
            for name in ("good", "flooding")
        ]
        call = HotCall("good", at, AUTHENTICATE, [request(known[0])], good)
        attacked = Attacked(postgres, at, call, flooding)
        floods = _floods(known)
        tokens_each = effort.forged // (len(floods) - 2)
        for each in floods:  # until what is remembered is remembered
            await attacked.measure(_aside(each), 50)
        for each in floods:
            beginning = min(_BEGINNING_SECONDS * _FLOOD_PER_SECOND, tokens_each // 2)
            await attacked.measure(begun := _aside(each), beginning)
            each.beginning += begun.good
            await attacked.measure(each, tokens_each - beginning)
        await call.check()
    _table(floods, effort)


def _floods(known: Sequence[str]) -> Sequence[Flood]:
    draw = random.Random(len(known))
    kinds: Mapping[str, Iterator[str]] = {
        "unknown prefix": _unknown(draw),
        "wrong secret": _wrong_secret(draw, known),
        "bad checksum": _bad_checksum(draw),
        "looks imported": _letters(draw),
    }
    forged = [
        Flood(f"{name}, {where}", tokens, addresses)
        for name, tokens in kinds.items()
        for where, addresses in (
            ("one address", itertools.repeat(_ONE_ADDRESS)),
            ("many addresses", _addresses()),
        )
    ]
    one = itertools.repeat(_ONE_ADDRESS)
    return [Flood(_NONE, None, one), Flood(_VALID, itertools.cycle(known), one), *forged]


def _aside(flood: Flood) -> Flood:
    """The same flood, whose figures are counted by themselves."""
    return replace(flood, good=[], codes=Counter(), said={})


def _table(floods: Sequence[Flood], effort: Effort) -> None:
    none, valid = (next(each for each in floods if each.name == name) for name in (_NONE, _VALID))
    p99 = {each.name: Summary.of(each.good).p99 for each in floods}

    def cost(flood: Flood) -> float:
        """Seconds of the server's processor time, beside what the good calls take."""
        good = none.cpu * flood.seconds / none.seconds
        return (flood.cpu - good) / (sum(flood.codes.values()) or 1)

    def database_cost(flood: Flood) -> float:
        good = none.database_cpu * flood.seconds / none.seconds
        return (flood.database_cpu - good) / (sum(flood.codes.values()) or 1)

    show(
        "Good calls in a flood of forged tokens",
        f"{effort.forged:,} forged tokens in all, {_FLOOD_PER_SECOND:,} a second at most, each "
        f"presented once; beside them {_GOOD_PER_SECOND} good calls a second. *At first*: in the "
        f"{_BEGINNING_SECONDS} seconds in which it begins, which nothing else here counts: what "
        "the limits let through at once is looked up then. The aims are a p99 of less than 1.2 of "
        "that with valid tokens, and at most as much of the server's CPU for a forged token as for "
        "a valid one. *Refused*: answered otherwise than UNAUTHENTICATED, as of too many. "
        "*Hashes*: Argon2 and slow hashes that were begun. The server has core "
        f"{cores.SERVER} for itself, but for PostgreSQL; the flood and the good calls share the "
        "others.",
        (
            *("", "tokens", "a second", "good p50 ms", "good p99 ms", "at first"),
            *("p99 / no flood", "p99 / valid", "server CPU us/token", "/ a valid one's"),
            *("database CPU us/token", "denied", "hashes", "refused"),
        ),
        [
            (
                each.name,
                f"{(count := sum(each.codes.values())):,}",
                f"{count / each.seconds:,.0f}",
                milliseconds(Summary.of(each.good).p50),
                milliseconds(p99[each.name]),
                milliseconds(Summary.of(each.beginning).p99),
                f"{p99[each.name] / p99[_NONE]:.2f}",
                f"{p99[each.name] / p99[_VALID]:.2f}",
                *(
                    (
                        microseconds(cost(each)),
                        f"{cost(each) / cost(valid):.2f}",
                        microseconds(database_cost(each)),
                    )
                    if count
                    else ("-", "-", "-")
                ),
                f"{each.codes[_UNAUTHENTICATED]:,}",
                f"{each.hashes:,.0f}",
                http2.refusals(each.codes, each.said, _UNAUTHENTICATED),
            )
            for each in floods
        ],
    )


async def _import_one(admin: Admin, user: str) -> None:
    """Have a pattern of another product registered, by a key that looks like it."""
    stub: Any = key_service_pb2_grpc.KeyServiceStub(admin.channel)
    pattern = f"[A-Za-z]{{{_LETTERS}}}"
    digest = hashlib.sha256(b"a token that nobody presents").hexdigest()
    item = pb.ImportItem(key=key_pb2.Key(user=user), hash=digest, hash_form=pb.HASH_FORM_SHA256_HEX)
    reply = await stub.ImportKeys(
        pb.ImportKeysRequest(
            parent=PARENT,
            format=pb.ImportedTokenFormat(pattern=pattern, lookup=pb.TOKEN_LOOKUP_DIGEST),
            items=[item],
        ),
        metadata=bearer(admin.token),
    )
    assert reply.imported_count == 1, reply.results[0].error


def _unknown(draw: random.Random) -> Iterator[str]:
    while True:
        yield _FORMAT.render(_FORMAT.mint("live", draw.randbytes)).reveal()


def _wrong_secret(draw: random.Random, known: Sequence[str]) -> Iterator[str]:
    for token in itertools.cycle(map(_FORMAT.parse, known)):
        wrong = replace(_FORMAT.mint("live", draw.randbytes), prefix=token.prefix)
        yield _FORMAT.render(wrong).reveal()


def _bad_checksum(draw: random.Random) -> Iterator[str]:
    for token in _unknown(draw):
        yield token[:-1] + ("x" if token[-1] != "x" else "y")


def _letters(draw: random.Random) -> Iterator[str]:
    while True:
        yield "".join(draw.choices(string.ascii_letters, k=_LETTERS))


def _addresses() -> Iterator[str]:
    first = int(IPv4Address("10.0.0.0"))
    return (str(IPv4Address(first + number)) for number in itertools.count())
