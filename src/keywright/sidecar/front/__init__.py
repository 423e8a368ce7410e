"""Envoy in front of the sidecar's `Check`: `keywright sidecar --front envoy`.

The process becomes Envoy, with the sidecar inside: one process, as without the front, so that
nothing has to be supervised and nothing can be left behind.

- `program` makes Envoy's configuration of ours, and becomes Envoy.
- `application` is what pyvoy runs inside, `checks` the part of it that Envoy's calls come in by.

Forward authentication is not behind Envoy (decision 0027): it is answered inside the same process
by the server that it has without the front.
"""
