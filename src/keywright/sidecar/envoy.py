"""Envoy's external authorization: `envoy.service.auth.v3.Authorization/Check`.

What a route needs is said in Envoy's own configuration, by the route's `context_extensions`:
`permissions` (comma-separated; empty: every key that stands), `resource` and `environment`. If one
of them is there they are the whole rule, and the file's routes are not asked. A route without any
is left to the file's.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import grpc

from keywright.sdk.drop_ins.http_denial import unavailable
from keywright.sdk.drop_ins.routes import Rule
from keywright.sdk.values.asked_for import is_environment, is_permission
from keywright.sdk.values.resources import is_resource
from keywright.sidecar.by_identity import ByIdentity
from keywright.sidecar.config import Limits
from keywright.sidecar.decisions import Decision, denied, refused
from keywright.sidecar.envoy_api.envoy.config.core.v3.base_pb2 import HeaderValueOption
from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from keywright.sidecar.gate import Gate
from keywright.sidecar.inspection import NameTable
from keywright.sidecar.planning import HEADER_SIZE, Plan, Remembered, Request, settled

_SERVICE = "envoy.service.auth.v3.Authorization"
PATH = f"/{_SERVICE}/Check"
_NONE: frozenset[tuple[str, str]] = frozenset()
_EXTENSIONS = frozenset({"permissions", "resource", "environment"})
_CODES: Mapping[int, grpc.StatusCode] = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


_Key = tuple[str, str, tuple[tuple[str, str], ...], str, frozenset[tuple[str, str]]]


class Check:
    """Answers `Check`. It never fails: what is wrong with a request is said in the answer."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._may_have_key = NameTable[str](gate.inspection.may_have_key)
        self._plan = Remembered(self._planned)
        self._allowed = ByIdentity(encoded)

    async def answer(self, message: Any, _context: Any) -> bytes:
        """The serialised `CheckResponse` for a `CheckRequest`."""
        return self._encode(await self._gate.decide("envoy", *self._read(message)))

    def at_once(self, message: Any) -> bytes | None:
        """The same, if nobody has to be asked for it."""
        decision = self._gate.at_once("envoy", *self._read(message))
        return None if decision is None else self._encode(decision)

    def _encode(self, decision: Decision) -> bytes:
        return self._allowed(decision) if decision.allowed else encoded(decision)

    def _read(self, message: Any) -> tuple[Plan, list[tuple[str, str]]]:
        """The plan for a request, and the credentials that were sent with it."""
        attributes = message.attributes
        request = attributes.request
        credentials: list[tuple[str, str]] = []
        if request.HasField("http"):
            http = request.http
            method, path, others = http.method, http.path, []
            size = len(path) + len(method)
            for name, value in self._of_matter(http):
                if self._may_have_key[name]:
                    credentials.append((name.lower(), value))
                else:
                    others.append((name.lower(), value))
                    size += len(name) + len(value) + HEADER_SIZE
            extensions = attributes.context_extensions
            key = (
                method,
                path,
                tuple(others),
                attributes.source.address.socket_address.address,
                frozenset(extensions.items()) if extensions else _NONE,
            )
            plan = self._plan(key, size)
        else:
            plan = settled(refused("NOT_HTTP", "the check tells of no HTTP request"))
        return plan, credentials

    def _planned(self, key: _Key) -> Plan:
        method, path, headers, address, extensions = key
        try:
            rule = _rule(dict(extensions)) if extensions else None
        except ValueError as error:
            return settled(denied(unavailable("CONTEXT_EXTENSIONS_INVALID", str(error))))
        return self._gate.plan(Request(method, path, headers, address, rule))

    def _of_matter(self, http: Any) -> list[tuple[str, str]]:
        """The headers that a decision rests on, as they are told."""
        known = self._may_have_key
        if not http.HasField("header_map"):  # all, joined by Envoy where they were doubled
            headers = http.headers
            return [(name, headers[name]) for name in headers if known[name] is not None]
        return [
            (name, each.raw_value.decode("latin-1") or each.value)
            for each in http.header_map.headers
            if known[name := each.key] is not None
        ]


def create_server(check: Check, limits: Limits) -> grpc.aio.Server:
    """A server for `Check`, which does not listen yet."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_metadata_size", limits.header_bytes),
        ]
    )
    handler: Any = grpc.unary_unary_rpc_method_handler(
        check.answer, request_deserializer=CheckRequest.FromString, response_serializer=None
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {"Check": handler}),)
    )
    return server


def encoded(decision: Decision) -> bytes:
    """The serialised `CheckResponse` that a decision is."""
    overwrite = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    response = CheckResponse()
    if decision.allowed:
        # Set, although it is the default: some readers take no status at all for none given.
        response.status.code = 0
        changes = response.ok_response
        for name, value in decision.headers:
            option = changes.headers.add(append_action=overwrite, keep_empty_value=True)
            option.header.key, option.header.value = name, value
        changes.headers_to_remove.extend(decision.removed)
        return response.SerializeToString()
    code = _CODES.get(decision.status, grpc.StatusCode.UNAVAILABLE)
    response.status.code = code.value[0]
    response.status.message = decision.reason
    answer = response.denied_response
    answer.status.code = decision.status  # type: ignore[assignment]
    answer.body = decision.body.decode()
    told = set()
    for name, value in decision.headers:
        append = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
        option = answer.headers.add(append_action=append if name in told else overwrite)
        option.header.key, option.header.value = name, value
        told.add(name)
    return response.SerializeToString()


def _rule(given: Mapping[str, str]) -> Rule:
    """The rule that a route's `context_extensions` say.

    Raises:
        ValueError: there is another field than these, so that one may be misspelt; permissions
            are missing, so that nobody may have thought of them; or one says what could not be.
    """
    if unknown := sorted(given.keys() - _EXTENSIONS):
        raise ValueError(
            f"context_extensions: {unknown[0]!r} is none of {', '.join(sorted(_EXTENSIONS))}"
        )
    if "permissions" not in given:
        raise ValueError("context_extensions: permissions is needed; empty for every key")
    permissions = tuple(filter(None, map(str.strip, given["permissions"].split(","))))
    resource, environment = given.get("resource", ""), given.get("environment", "")
    for permission in permissions:
        if not is_permission(permission):
            raise ValueError(
                f"context_extensions: permissions: {permission!r} is none like datasets.read"
            )
    # There is no pattern whose segments a `{name}` could stand for.
    if resource and (not is_resource(resource) or "{" in resource or "}" in resource):
        raise ValueError(f"context_extensions: resource: {resource!r} is none like projects/abc")
    if environment and not is_environment(environment):
        raise ValueError(f"context_extensions: environment: {environment!r} is none like live")
    return Rule("context_extensions", permissions, resource, environment)
