"""The wire contract in front of the use cases.

`handlers/` convert, call, convert back and return; `interceptors/` say what happens to every call,
in order; `errors.py` is the one place where a failure becomes a status; `grpc.py` is the transport.
"""
