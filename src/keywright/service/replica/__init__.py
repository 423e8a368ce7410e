"""How one process decides from memory, and is never behind a narrowing that has returned.

`history` is what the process knows of what has changed, `lease` until when it may trust that,
`replica` keeps both true, `watchers` pass both on to the caches of clients. The whole protocol and
its proof are in `docs/consistency.md`.
"""
