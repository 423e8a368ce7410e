"""Envoy in front, as whoever runs inside it needs it: the server, and the sidecar.

It knows neither of them, and no protobuf.

- `installation` finds Envoy, pyvoy and Python's shared library, or says what is missing.
- `program` is how Envoy is started with Python inside, and judges what it is to be started with;
  `envoy` is what is alike in each configuration of it, made of `messages`; `places` are the files
  and sockets of one process, in a directory that nobody else may enter.
- `life` is the application that pyvoy runs, from the start of Envoy to the end of both, `admin` how
  it speaks to the Envoy around it.
- `framing` is gRPC as bytes, `calls` a call of it as an exchange over ASGI.
"""
