"""The console: pages where people manage their keys, on top of the SDK.

`app.py` puts it together. A request passes `guards.py` (origin, headers, size), then the page that
its path names in `pages/`, which acts with the session of whoever asks (`visit.py`) and with
nothing else. The console keeps nothing: docs/decisions/0025-the-console-keeps-nothing.md.
"""
