"""Envoy in front, with this server's Python inside: `keywright serve --front envoy`.

One process is Envoy and Python both, and so one replica. Envoy has the port. What is worth it goes
from Envoy to an ASGI application on a thread beside it (`wire.asgi`), everything else to a server
of grpc.aio on the same thread, over a UNIX socket in a directory that nobody else may enter.

- `envoy` makes Envoy's configuration of ours, `program` the process out of that; both are the
  supervisor's (`app.workers`), which starts such a process in place of a worker.
- `application` is what pyvoy runs inside, `listener` the part of it that calls come in by.

What a sidecar inside Envoy needs as well is in `keywright.front`.
"""
