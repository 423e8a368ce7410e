"""`ListKeys`: the first page and a far one, with few keys in the workspace and with many."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import grpc.aio

from bench import server
from bench.effort import Effort
from bench.keys import PARENT, bearer
from bench.load import Summary, in_turn
from bench.loader import KEYS_PER_USER, Loaded, loaded_user
from bench.server import Postgres, Server
from bench.table import milliseconds, show
from bench.target import Target, take_turns
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

LIST_KEYS = "/keywright.v1.KeyService/ListKeys"
_PAGE_SIZE = 50
_FAR_PAGE = 1_000
# The size of a page may change from one to the next (AIP-158): the way to a far page is short.
_STRIDE = 1_000
_NOTE = (
    f"The admin lists {_PAGE_SIZE} keys a page, one call at a time: the active ones, newest first, "
    f"unless the line says otherwise. The far page is the {_FAR_PAGE:,}th, or the last one where "
    "there are fewer, and is asked for with the token that led to it. *Of a user*: there are "
    f"{KEYS_PER_USER} of each. The baselines are the first page of the same list, and the same "
    "line with few keys."
)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    few = await Loaded.shared(postgres, effort.few)
    many = await Loaded.shared(postgres, effort.many)
    # Writing the load to the disk should not go on while pages are fetched.
    await asyncio.to_thread(os.sync)
    async with AsyncExitStack() as running:
        lists = [
            pages
            for loaded in (few, many)
            async for pages in _lists(
                await running.enter_async_context(server.keywright(loaded.dsn)), loaded
            )
        ]
        await take_turns([page for pages in lists for page in pages], effort)
    kinds = len(lists) // 2
    show(
        "ListKeys, by page and by the number of keys",
        _NOTE,
        (
            "",
            "calls/s",
            "p50 ms",
            "p99 ms",
            "p50 / first page",
            "p50 / few keys",
            "server CPU us/call",
        ),
        [
            _row(page, first=pages[0], few=with_few)
            for pages, pages_with_few in zip(lists, lists[:kinds] * 2, strict=True)
            for page, with_few in zip(pages, pages_with_few, strict=True)
        ],
    )


def _row(page: Target, *, first: Target, few: Target) -> Sequence[str]:
    seen = Summary.of(page.slices)
    return (
        page.name,
        f"{seen.rate:,.0f}",
        milliseconds(seen.p50),
        milliseconds(seen.p99),
        *(f"{seen.p50 / Summary.of(base.slices).p50:.2f}" for base in (first, few)),
        page.cpu_per_call,
    )


async def _lists(at: Server, loaded: Loaded) -> AsyncIterator[Sequence[Target]]:
    """The pages to fetch of each list, the first one first."""
    far = min(_FAR_PAGE, loaded.keys // _PAGE_SIZE)
    of_user = pb.ListKeysRequest(
        parent=PARENT, filter=key_pb2.KeyFilter(user=f"{PARENT}/users/{loaded_user(0)}")
    )
    by_name = pb.ListKeysRequest(parent=PARENT, order_by="display_name")
    for what, query, numbers in (
        ("keys", pb.ListKeysRequest(parent=PARENT), (1, far)),
        ("keys, of a user", of_user, (1,)),
        ("keys, by display name", by_name, (1,)),  # the way to a far page sorts all keys each time
    ):
        try:
            yield [
                Target(
                    f"{loaded.keys:,} {what}, page {number:,}",
                    at,
                    in_turn(
                        at.channel,
                        LIST_KEYS,
                        [await _page(at, loaded, query, number)],
                        bearer(loaded.admin_token),
                    ),
                    in_flight=1,
                )
                for number in numbers
            ]
        except grpc.aio.AioRpcError as refused:
            # Not every order is there yet. Whatever else goes wrong is no reason to go on.
            if refused.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise


async def _page(at: Server, loaded: Loaded, query: pb.ListKeysRequest, number: int) -> bytes:
    """The request for a page, from 1, with the token that the pages before it lead to."""
    request = pb.ListKeysRequest()
    request.CopyFrom(query)
    before = (number - 1) * _PAGE_SIZE
    while before:
        request.page_size = min(before, _STRIDE)
        reply = await _fetch(at, loaded, request)
        assert reply.next_page_token, "the list has that many pages"
        before -= len(reply.keys)
        request.page_token = reply.next_page_token
    request.page_size = _PAGE_SIZE
    assert (await _fetch(at, loaded, request)).keys, "the list has that many pages"
    return request.SerializeToString()


async def _fetch(at: Server, loaded: Loaded, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
    fetch = in_turn(
        at.channel, LIST_KEYS, [request.SerializeToString()], bearer(loaded.admin_token)
    )
    return pb.ListKeysResponse.FromString(await fetch())
