"""A program of threads that share a `BlockingAuthenticator`, which is asked over a UNIX socket.

Arguments: the socket's path. A connection is a thread; a line on it is a question, the arguments of
`authenticate` as JSON, and a line is the answer: an `Outcome`'s name and the reason.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import Any

from keywright.sdk import errors
from keywright.sdk.authenticating.blocking_authenticator import BlockingAuthenticator

PATIENCE = timedelta(seconds=30)


class Threads(ThreadingMixIn, UnixStreamServer):
    """Answers each connection in a thread of its own."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, path: Path, authenticator: BlockingAuthenticator) -> None:
        path.unlink(missing_ok=True)  # of one that was killed
        super().__init__(str(path), _Answer)
        self._authenticator = authenticator

    def decided(self, question: Any) -> tuple[str, str]:
        """The answer to a question."""
        try:
            self._authenticator.authenticate(**question)
        except (errors.Unauthenticated, errors.PermissionDenied) as error:
            return "DENIED", error.reason
        except errors.KeywrightError as error:
            return "UNDECIDED", error.reason or str(error)
        return "ALLOWED", ""


class _Answer(StreamRequestHandler):
    server: Threads

    def handle(self) -> None:
        for line in self.rfile:
            answer = json.dumps(self.server.decided(json.loads(line)))
            self.wfile.write(f"{answer}\n".encode())


def _main() -> None:
    with (
        BlockingAuthenticator(timeout=PATIENCE) as authenticator,
        Threads(Path(sys.argv[1]), authenticator) as server,
    ):
        authenticator.leased(PATIENCE)
        print("listening", file=sys.stderr, flush=True)  # noqa: T201  whoever starts it waits
        server.serve_forever()


if __name__ == "__main__":
    _main()
