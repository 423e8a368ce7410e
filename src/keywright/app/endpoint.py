"""The endpoint for whoever watches over a server: its metrics, whether it lives, whether it serves.

Over HTTP and in plain text, because that is what Prometheus and load balancers ask for; it contains
no names and no secrets. The same for one process and for several (`app.workers`).
"""

import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from socket import SOCK_STREAM, getaddrinfo
from threading import Thread
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import structlog
from prometheus_client.exposition import MetricsHandler
from prometheus_client.registry import Collector

from keywright.app.listen import ListenError
from keywright.listening import TcpAddress

_log = structlog.get_logger("keywright.server")

_PLACES = 32
IsServing = Callable[[], bool]


class _Server(ThreadingHTTPServer):
    """Takes `_PLACES` connections at a time: each is a thread, and a descriptor of the process."""

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(_PLACES)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Whoever asked has gone, or a metric cannot be told: a line, and not a traceback."""
        _log.warning("the endpoint has not answered", error=type(sys.exception()).__name__)


class _Handler(MetricsHandler):
    """`/metrics`; `/healthz`, 200 while there is anybody to say so; `/readyz`, 200 or 503."""

    timeout = 10  # who connects and says nothing holds a thread no longer
    is_serving: ClassVar[IsServing]

    def do_GET(self) -> None:  # noqa: N802  the name that http.server calls
        try:
            path = urlsplit(self.path).path
        except ValueError:
            path = ""
        match path:
            case "/metrics":
                super().do_GET()
            case "/healthz":
                self._say(HTTPStatus.OK, "alive")
            case "/readyz" if type(self).is_serving():
                self._say(HTTPStatus.OK, "serving")
            case "/readyz":
                self._say(HTTPStatus.SERVICE_UNAVAILABLE, "not serving")
            case _:
                self._say(HTTPStatus.NOT_FOUND, "there are /metrics, /healthz and /readyz")

    def _say(self, status: HTTPStatus, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(
    address: TcpAddress | None, metrics: Collector, is_serving: IsServing
) -> Callable[[], None]:
    """Serve the endpoint on `address`, if there is one; returns what stops it.

    `metrics` and `is_serving` are asked on threads.

    Raises:
        ListenError: the address cannot be listened on.
    """
    if address is None:
        return lambda: None
    handler = type(
        "Handler", (_Handler,), {"registry": metrics, "is_serving": staticmethod(is_serving)}
    )
    try:
        server = _server(address, handler)
    except OSError as error:
        raise ListenError(
            f"{address} cannot be listened on for metrics ({error.strerror}); choose another with "
            "KEYWRIGHT_METRICS_LISTEN, or leave it empty"
        ) from error
    thread = Thread(target=server.serve_forever, name="endpoint", daemon=True)
    thread.start()
    _log.info("serving metrics", listen=str(TcpAddress(address.host, server.server_port)))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _server(address: TcpAddress, handler: type[MetricsHandler]) -> _Server:
    family, *_, socket_address = getaddrinfo(address.host, address.port, type=SOCK_STREAM)[0]
    of_family = type("Server", (_Server,), {"address_family": family})
    return cast("_Server", of_family(socket_address[:2], handler))
