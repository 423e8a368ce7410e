"""From a TOML file to a `Config`: every mistake at once, where it is and what would be right."""

import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

from keywright.front import installation, places
from keywright.programs.addresses import Address, TcpAddress, parse_address
from keywright.programs.reading import Table, chosen, read, text_of
from keywright.sdk.drop_ins.patterns import Pattern
from keywright.sdk.drop_ins.presented import API_KEY, AUTHORIZATION
from keywright.sdk.drop_ins.routes import METHOD, Route, Routes, Rule, placeholders
from keywright.sdk.values.asked_for import is_environment, is_permission
from keywright.sdk.values.resources import is_resource
from keywright.sidecar.config import (
    ORIGINAL_REQUEST,
    AccessLog,
    Config,
    CredentialSource,
    ForwardAuth,
    Front,
    Limits,
    Network,
    Proxy,
)
from keywright.sidecar.headers import IdentityHeaders

_ROUTES_MAX_COUNT = 1_000
_LIMIT_MAX = 100_000_000
_HEADER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# What proxies, connections and applications live on.
_TAKEN = frozenset(
    {
        *("connection", "content-length", "content-type", "cookie", "expect", "host", "keep-alive"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_RULE_FIELDS = ("permissions", "resource", "required_environment", "public")


def read_config(file: Path, front: str | None = None) -> Config:
    """The configuration that a file says; `front`, if it is given, is said instead of the file's.

    Raises:
        ConfigurationError: `CONFIG_FILE_INVALID`, with every mistake in it.
    """
    return parse_config(text_of(file), file, front)


def parse_config(text: str, file: Path, front: str | None = None) -> Config:
    """The configuration that the text of a file says.

    Raises:
        ConfigurationError: as `read_config`.
    """
    return read(text, file, {"front": front}, _config)


def _config(root: Table) -> Config:
    root.only(
        [
            *("credentials", "access_log", "front", "listen", "headers", "forward_auth"),
            *("limits", "default", "routes"),
        ]
    )
    identity = _identity(root.table("headers"))
    http, envoy = _listen(root.table("listen"))
    return Config(
        routes=_routes(root),
        http=http,
        envoy=envoy,
        credentials=_credentials(root),
        identity=identity,
        forward_auth=_forward_auth(root, http),
        limits=_limits(root.table("limits")),
        access_log=root.choice("access_log", AccessLog, AccessLog.ALL),
        front=_front(root, envoy),
    )


def _front(root: Table, envoy: Address | None) -> Front:
    front = root.choice("front", Front, Front.GRPC)
    if front is Front.ENVOY:
        if envoy is None:
            root.mistake("front", "envoy answers Check, and listen.envoy is switched off")
        try:
            installation.find()
        except installation.NoEnvoyError as error:
            root.mistake("front", f"envoy {error}")
        if not places.fit():
            root.mistake("front", f"envoy {places.TOO_LONG}")
    return front


def _listen(table: Table) -> tuple[Address | None, Address | None]:
    table.only(["http", "envoy", "beyond_this_machine"])
    defaults = Config(Routes(()))
    http = table.parsed("http", defaults.http, _address)
    envoy = table.parsed("envoy", defaults.envoy, _address)
    if not table.flag("beyond_this_machine"):
        for name, address in (("http", http), ("envoy", envoy)):
            if address is not None and not address.stays_here:
                table.mistake(
                    name,
                    f"{address}: others than this machine could ask, in plain text; take a "
                    "loopback address or unix:/path, or set beyond_this_machine = true if "
                    "something else protects it",
                )
    if http is None and envoy is None:
        table.mistake("", "one of http and envoy is needed")
    elif http == envoy and getattr(http, "port", None) != 0:
        table.mistake("envoy", f"{envoy} is where http listens; take another")
    return http, envoy


def _address(text: str) -> Address | None:
    return parse_address(text) if text else None


def _credentials(root: Table) -> frozenset[CredentialSource]:
    given = root.texts("credentials")
    if given is None:
        return Config(Routes(())).credentials
    found = set()
    for text in given:
        try:
            found.add(chosen(CredentialSource, text))
        except ValueError as error:
            root.mistake("credentials", f"{text!r}: {error}")
    if not given:
        root.mistake("credentials", "at least one is needed, bearer for example")
    return frozenset(found)


def _identity(table: Table) -> IdentityHeaders:
    names = [each.name for each in fields(IdentityHeaders)]
    table.only(names)
    defaults = IdentityHeaders()
    found = {name: table.parsed(name, getattr(defaults, name), _header) for name in names}
    for name in names:
        twice = [other for other in names if found[other] == found[name]]
        if twice[0] != name:
            table.mistake(name, f"{found[name]} is the name of {twice[0]} already")
    return IdentityHeaders(**found)


def _header(text: str) -> str:
    name = text.lower()
    read = {header for each in ORIGINAL_REQUEST.values() for header in each.names}
    if _HEADER.fullmatch(name) is None:
        raise ValueError("a header's name is letters, digits and -")
    if name in _TAKEN or name in {AUTHORIZATION, API_KEY} or name in read:
        raise ValueError("this header means something else")
    return name


def _forward_auth(root: Table, http: Address | None) -> ForwardAuth | None:
    if "forward_auth" not in root.values:
        return None
    if http is None:
        root.mistake("forward_auth", "nobody could ever ask: listen.http is switched off")
    table = root.table("forward_auth")
    table.only(["proxy", "trusted_proxies"])
    if "proxy" not in table.values:
        table.mistake("proxy", "is needed: nginx, traefik or caddy")
    proxy = table.choice("proxy", Proxy, Proxy.NGINX)
    given = table.texts("trusted_proxies")
    if given is None:
        return ForwardAuth(proxy)
    if not given and isinstance(http, TcpAddress):
        table.mistake("trusted_proxies", f"names none, so that nobody could ever ask at {http}")
    networks: list[Network] = []
    for text in given:
        try:
            networks.append(ip_network(text))
        except ValueError:
            table.mistake(
                "trusted_proxies",
                f"{text!r}: must be a network like 10.0.0.0/8, without bits beyond its length",
            )
    return ForwardAuth(proxy, tuple(networks))


def _limits(table: Table) -> Limits:
    names = [each.name for each in fields(Limits)]
    table.only(names)
    defaults = Limits()
    return Limits(
        **{name: table.count(name, getattr(defaults, name), most=_LIMIT_MAX) for name in names}
    )


def _routes(root: Table) -> Routes:
    tables = root.tables("routes")
    if len(tables) > _ROUTES_MAX_COUNT:
        root.mistake("routes", f"{_ROUTES_MAX_COUNT} at most")
    routes: dict[Route, Table] = {}
    for table in tables:
        table.only(["path", "methods", *_RULE_FIELDS])
        route = _route(table)
        if route in routes:
            table.mistake("", f"{route} is there twice")
        elif route is not None:
            routes[route] = table
    default = None
    if "default" in root.values:
        table = root.table("default")
        table.only(_RULE_FIELDS)
        default = _rule(table, "default", frozenset())
    found = Routes(tuple(routes), default)
    for route, what in found.mistakes().items():
        routes[route].mistake("", f"{route} {what}")
    return found


def _route(table: Table) -> Route | None:
    if "path" not in table.values:
        table.mistake("path", "is needed: /projects/{project}/**")
    pattern = table.parsed("path", None, Pattern.parse)
    methods = _methods(table)
    if pattern is None:
        _rule(table, "", None)
        return None
    return Route(pattern, methods, _rule(table, pattern.text, pattern.names))


def _methods(table: Table) -> frozenset[str] | None:
    given = table.texts("methods")
    if given is None:
        return None
    if not given:
        table.mistake("methods", "names none, so that it could never match; leave it out for all")
    for method in given:
        if METHOD.fullmatch(method) is None:
            table.mistake("methods", f"{method!r} could never match: methods are capital letters")
    return frozenset(given)


def _rule(table: Table, label: str, names: frozenset[str] | None) -> Rule:
    """The rule that a table says; `names`: what its path calls its segments, if it is known."""
    permissions = table.texts("permissions")
    for permission in permissions or ():
        if not is_permission(permission):
            table.mistake(
                "permissions",
                f"{permission!r}: must be a permission like datasets.read, no pattern",
            )
    resource = table.text("resource", "")
    if resource and not is_resource(resource):
        table.mistake(
            "resource", f"{resource!r}: must be segments joined by /: projects/{{project}}"
        )
    try:
        used = placeholders(resource)
        for name in sorted(used - names) if names is not None else ():
            table.mistake("resource", f"{{{name}}} is no segment of the path {label}")
    except ValueError as error:
        table.mistake("resource", str(error))
    environment = table.text("required_environment", "")
    if environment and not is_environment(environment):
        table.mistake("required_environment", f"{environment!r}: must be an id like live")
    public = table.flag("public")
    if public and (permissions or resource or environment):
        table.mistake("public", "nobody is asked for a key here, so nothing else can be required")
    if not public and permissions is None:
        table.mistake(
            "permissions",
            'is needed: ["datasets.read"]; [] for every key that stands, or public = true for '
            "requests without a key",
        )
    return Rule(label, permissions or (), resource, environment, public)
