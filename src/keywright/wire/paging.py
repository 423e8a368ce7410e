"""Lists come in pages (AIP-158): keyset, by an opaque token, none larger than a reply may be."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from keywright.domain.listing import Listed
from keywright.wire.rpc import Rpc

Item = TypeVar("Item")
Entry = TypeVar("Entry", bound=Message)

_DEFAULT_SIZE = 50
_MAX_SIZE = 1000
# What an entry costs in the reply besides itself: its tag and length. And what the rest may take.
_ENTRY_OVERHEAD_BYTES = 8
_REST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """One page, and the token of the next; empty if this is the last."""

    entries: list[Entry]
    next_page_token: str


async def page(
    rpc: Rpc,
    request: Any,
    *,
    fetch: Callable[[str | None, int], Awaitable[Sequence[Listed[Item]]]],
    convert: Callable[[Item], Entry],
) -> Page[Entry]:
    """The page that `request` asks for.

    `fetch` takes the cursor after which to begin and how many items there may be at most. A page
    has what was asked for, at most 1,000 (0 is 50), and fewer where more would not fit a reply.

    Raises:
        InvalidFields: PAGE_TOKEN_INVALID.
    """
    seal, caller = rpc.services.seal, str(rpc.call.caller.user.name)
    after = seal.page_after(request.page_token, caller=caller, query=request)
    size = min(request.page_size or _DEFAULT_SIZE, _MAX_SIZE)
    listed = await fetch(after, size + 1)
    converted = (convert(each.item) for each in listed[:size])
    entries = _fitting(converted, rpc.backend.settings.max_response_bytes)
    if len(entries) == len(listed):
        return Page(entries, "")
    last = listed[len(entries) - 1].cursor
    return Page(entries, seal.page_token(last, caller=caller, query=request))


def _fitting(entries: Iterable[Entry], limit_bytes: int) -> list[Entry]:
    """As many entries as fit a reply, and always one, so that a list comes to its end."""
    room = limit_bytes - _REST_BYTES
    fitting: list[Entry] = []
    for entry in entries:
        room -= entry.ByteSize() + _ENTRY_OVERHEAD_BYTES
        if room < 0 and fitting:
            break
        fitting.append(entry)
    return fitting
