"""What is tried through every proxy, and what may never reach an application."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import normpath
from urllib.parse import unquote

from tests.proxies.fronts import Front
from tests.support.spoofs import IDENTITY, SPOOFS

Headers = Sequence[tuple[str, str]]
Request = tuple[str, str, Headers]
SECRET_PATH = "/admin/secret"


@dataclass(frozen=True)
class Attempt:
    """A request of somebody who may only read projects."""

    target: str = "/projects/abc"
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    host: str = "app.example"

    def __str__(self) -> str:
        return f"{self.method} {self.target[:60]!a} {self.headers!a}"


# Ways to the path that needs more, written as something else.
TARGETS = [
    "/public/../admin/secret",
    "/public/./../admin/secret",
    "/public/..;/admin/secret",
    "/public/%2e%2e/admin/secret",
    "/public/%2E%2e/admin/secret",
    "/public/.%2e/admin/secret",
    "/public/..%2fadmin/secret",
    "/public/%2e%2e%2fadmin%2fsecret",
    "/public/..%5cadmin/secret",
    "/public/..\\admin\\secret",
    "/public/%252e%252e/admin/secret",
    "/public/x/../../admin/secret",
    "/public//../../admin/secret",
    "/public;/../admin/secret",
    "//admin/secret",
    "/public//../admin/secret",
    "///admin//secret",
    "/admin;x=1/secret",
    "/admin/;/secret",
    "/admin%2fsecret",
    "/%61dmin/secret",
    "/./admin/secret",
    "/admin./secret",
    "/admin/secret.",
    "/admin/secret%20",
    "/admin/secret%00",
    "/admin/secret?x=/public/",
    "/admin/secret#/public/",
    "/public/#/../../admin/secret",
    "/public/?/../../admin/secret",
    "http://app.example/admin/secret",
    "http://app.example//admin/secret",
    "http://app.example/public/../admin/secret",
    "HTTP://public/admin/secret",
    "http://public@app.example/admin/secret",
    "admin/secret",
    "/public/x%0d%0aX-Keywright-User:%20root",
]
# The target, the method and the address as a proxy would tell them, told by the client.
_TOLD = [
    (("X-Original-URI", "/public/x"),),
    (("X-Original-Method", "GET"), ("X-Original-URI", "/public/x")),
    (("x_original_uri", "/public/x"),),
    (("X-Forwarded-Uri", "/public/x"),),
    (("X-Forwarded-Uri", "/public/x"), ("X-Forwarded-Uri", "/public/y")),
    (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/public/x")),
    (("X_Forwarded_Uri", "/public/x"),),
    (("X-Forwarded-For", "192.0.2.7"),),
    (("X-Envoy-Original-Path", "/public/x"),),
    (("X-Original-URL", "/public/x"),),
    (("X-Rewrite-URL", "/public/x"),),
    (("Connection", "X-Original-URI"),),
    (("Connection", "X-Forwarded-Uri, X-Forwarded-Method"),),
    (("Forwarded", "for=127.0.0.1;proto=http;host=public"),),
]
ATTEMPTS = [
    *(Attempt(headers=headers) for headers in SPOOFS),
    *(Attempt("/public/x", headers) for headers in SPOOFS),
    *(Attempt(target) for target in TARGETS),
    *(Attempt(SECRET_PATH, headers) for headers in _TOLD),
    *(Attempt("/projects/abc", headers, method="DELETE") for headers in _TOLD),
    *(Attempt(SECRET_PATH, method=method) for method in ("get", "HEAD", "POST", "OPTIONS", "X")),
    Attempt("/projects/abc", (("X-HTTP-Method-Override", "DELETE"),), method="GET"),
    Attempt("/projects/abc", method="TRACE"),
    Attempt(SECRET_PATH, host="app.example/public/"),
    Attempt(SECRET_PATH, host="app.example."),
]


async def wrongs(front: Front, attempt: Attempt, token: str, user: str) -> list[str]:
    """What an application has received of an attempt that it should never have seen."""
    seen_before = len(front.application.received)
    await front.ask(
        attempt.target,
        *attempt.headers,
        token=token,
        method=attempt.method,
        host=attempt.host,
    )
    received = front.application.received[seen_before:]
    return [each for request in received for each in wrongs_of(front, request, user)]


def wrongs_of(front: Front, request: Request, user: str) -> list[str]:
    """What is wrong with a request that an application has received."""
    method, target, headers = request
    found = [f"{front.name}: {each}" for each in _wrong_headers(headers, user)]
    path = understood(target)
    if path.startswith("/projects"):
        found += [f"{front.name}: {each} is missing" for each in _missing(headers)]
    if path.startswith("/admin") or (method not in ("GET", "HEAD") and "projects" in path):
        found.append(f"{front.name}: it was asked to {method} {target}")
    return found


def _wrong_headers(headers: Headers, user: str) -> list[str]:
    found = []
    seen = [(re.sub(r"[^a-z0-9]", "-", name.lower()), value) for name, value in headers]
    for name, value in seen:
        if name in IDENTITY and value not in ("", *_true_of(user)):
            found.append(f"{name} is {value!a}")
        if name == "upgrade" and value.lower() != "websocket":
            found.append(f"it was asked to go on as {value!a}")
        if name in ("authorization", "x-api-key"):
            found.append(f"it was given a key in {name}")
        if "method-override" in name or name in (
            "script-name",
            "x-http-method",
            "x-original-url",
            "x-rewrite-url",
        ):
            found.append(f"it was given {name}")
    names = [name for name, _ in seen]
    return found + [f"{name} is there twice" for name in IDENTITY if names.count(name) > 1]


def _missing(headers: Headers) -> list[str]:
    told = {name.lower() for name, value in headers if value}
    return [name for name in IDENTITY if name not in told and name != "x-keywright-role"]


def _true_of(user: str) -> tuple[str, ...]:
    return (
        f"workspaces/default/users/{user}",
        f"{user}@example.com",
        "workspaces/default",
        "projects.read",
        f"workspaces/default/keys/{user}",
    )


def understood(target: str) -> str:
    """The path that the most generous application would make of a target."""
    path = re.sub(r"\A[a-zA-Z]+://[^/]*", "", target)
    path = re.split(r"[?#]", path)[0]
    for _ in range(2):
        path = unquote(path)
    path = "/".join(
        segment.split(";")[0].rstrip(". ") or segment
        for segment in path.replace("\\", "/").split("/")
    )
    return normpath("/" + path.lstrip("/")).lower()
