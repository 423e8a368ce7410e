"""A client by grpcio's blocking stubs: `python -m tests.clients.programs.blocking ADDRESS`."""

import json
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc

from tests.clients.programs.exchange import Call, asked, tell_end, tell_reply


def main() -> None:
    """Make the calls that standard input tells of, until its end."""
    calls: dict[int, Any] = {}
    with grpc.insecure_channel(sys.argv[1]) as channel:
        for line in sys.stdin:
            told = json.loads(line)
            if "cancel" in told:
                calls[told["id"]].cancel()
            else:
                call = asked(channel, told)
                calls[call.number] = _begun(call)


def _begun(call: Call) -> Any:
    if call.is_unary:
        future = call.method.future(call.requests[0], **call.given)
        future.add_done_callback(lambda ended: _unary_over(call.number, ended))
        return future
    says = _Says(call)
    both_ways = isinstance(call.method, grpc.StreamStreamMultiCallable)
    stream = call.method(says if both_ways else call.requests[0], **call.given)
    threading.Thread(target=_follow, args=(call.number, stream, says), daemon=True).start()
    return stream


class _Says(Iterator[Any]):
    """The requests of a stream; then its end, at once or when it is over."""

    def __init__(self, call: Call) -> None:
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for each in call.requests:
            self._waiting.put(each)
        if not call.is_open:
            self.end()

    def end(self) -> None:
        self._waiting.put(None)

    def __next__(self) -> Any:
        following = self._waiting.get()
        if following is None:
            raise StopIteration
        return following


def _unary_over(number: int, future: Any) -> None:
    if future.code() is grpc.StatusCode.OK:
        tell_reply(number, future.result())
    _tell_end(number, future)


def _follow(number: int, stream: Any, says: _Says) -> None:
    try:
        for reply in stream:
            tell_reply(number, reply)
    except grpc.RpcError:
        pass  # it is told with all other ends
    finally:
        says.end()
    _tell_end(number, stream)


def _tell_end(number: int, call: Any) -> None:
    tell_end(
        number,
        call.initial_metadata(),
        call.trailing_metadata(),
        (call.code(), call.details()),
    )


if __name__ == "__main__":
    main()
