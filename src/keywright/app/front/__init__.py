"""Envoy in front, with this server's Python inside: `keywright serve --front envoy`.

One process is Envoy and Python both, and so one replica. Envoy has the port. What is worth it goes
from Envoy to an ASGI application on a thread beside it (`wire.asgi`), everything else to a server
of grpc.aio on the same thread, over a UNIX socket in a directory that nobody else may enter.

- `envoy` makes Envoy's configuration of ours: what a connection may do. `certificates` has TLS,
  `calls` what becomes of a call, `contract` what that needs to be one in JSON.
- `program` has Envoy judge that, and makes a process out of it; both are the supervisor's
  (`app.workers`), which starts such a process in place of a worker.
- `application` is what pyvoy runs inside, `listener` the part of it that calls come in by.

What a sidecar inside Envoy needs as well is in `keywright.front`.
"""
