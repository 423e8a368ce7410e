"""Which rule is for a route or a method; without one it is denied."""

from typing import Any

import pytest

from keywright.sdk import PUBLIC, PermissionDenied, Requires
from keywright.sdk.drop_ins.requirements import MethodRules
from keywright.sdk.drop_ins.route_rules import RouteRules
from keywright.sdk.drop_ins.routes import Rule
from keywright.sdk.values.results import covered

READ, WRITE, ANY = Requires("datasets.read"), Requires("datasets.write"), Requires()
RULES = {
    "GET /datasets/{dataset}": READ,
    "/datasets/{dataset}": WRITE,
    "/health": PUBLIC,
    "WEBSOCKET /feed": READ,
    "/files.v1/**": ANY,
    "GET /files.v1/{file}": READ,
}
ROUTES = RouteRules(RULES)


@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("GET", "/datasets/a", READ),
        ("HEAD", "/datasets/a", READ),
        ("POST", "/datasets/a", WRITE),
        ("GET", "/health", PUBLIC),
        (None, "/feed", READ),
        (None, "/datasets/a", WRITE),
        ("GET", "/files.v1", ANY),
        ("GET", "/files.v1/", ANY),
        ("GET", "/files.v1/a", READ),
        ("GET", "/files.v1/a/b c", ANY),
    ],
)
def test_the_most_specific_rule_that_matches_counts(
    method: str | None, path: str, rule: object
) -> None:
    found = ROUTES.of(method, path)
    assert (RULES[found.label], found.public) == (rule, rule is PUBLIC)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/datasets"),
        ("GET", "/datasets/"),
        ("GET", "/datasets/a/b"),
        ("GET", "/feed"),
        ("WEBSOCKET", "/feed"),
        ("get", "/datasets/a"),
        ("get", "/health"),
        ("DELETE", "/files.v1/a"),
        ("GET", "/files.v1/a/"),
        ("GET", "/files.v1/a;b/c"),
        ("GET", "/files.v1/b./c"),
        ("GET", "/files.v1/a%2fb/c"),
        ("GET", "/health/"),
        ("GET", "/Health"),
        ("GET", "/health\n"),
        ("GET", "/filesXv1/a"),
        ("GET", "/files.v12"),
        ("GET", "/files.v1//a"),
        ("GET", "//files.v1/a"),
        ("GET", "/files.v1/../admin"),
        ("GET", "/files.v1/./a"),
        ("GET", "/files.v1/.."),
        ("GET", "/files.v1/a\\b"),
        ("GET", "/files.v1/a\0"),
        ("GET", ""),
    ],
)
def test_a_route_without_a_rule_or_with_two_readings_is_denied(method: str, path: str) -> None:
    with pytest.raises(PermissionDenied) as denied:
        ROUTES.of(method, path)
    assert denied.value.reason == "NOT_LISTED"


def test_a_resource_may_name_parts_of_the_path() -> None:
    asked = Requires("a", resource="projects/{project}/{id}", environment="live")
    rules = RouteRules({"/p/{project}/d/{id}": asked})
    assert rules.of("GET", "/p/x/d/y") == Rule(
        "/p/{project}/d/{id}", ("a",), "projects/x/y", "live"
    )


@pytest.mark.parametrize("part", [504 * "x", "y z", "ä", "{id}"])
def test_a_path_that_names_what_can_be_no_resource_is_denied(part: str) -> None:
    rules = RouteRules({"/datasets/{id}": Requires(resource="datasets/{id}"), "/**": PUBLIC})
    with pytest.raises(PermissionDenied) as denied:
        rules.of("GET", f"/datasets/{part}")
    assert denied.value.reason == "NOT_LISTED"
    assert rules.of("GET", f"/datasets/{503 * 'x'}").resource == f"datasets/{503 * 'x'}"


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("datasets", ""),
        ("GET datasets", ""),
        ("get /datasets", ""),
        ("GET  /datasets", ""),
        ("/datasets/a*", ""),
        (" /datasets", ""),
        ("/**/datasets", ""),
        ("/{data-set}", ""),
        ("/{dataset", ""),
        ("/datasets/{id}", "datasets/{dataset}"),
    ],
)
def test_a_rule_that_could_never_be_meant_is_refused(text: str, resource: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        RouteRules({text: Requires(resource=resource)})


def test_a_rule_that_others_leave_nothing_to_is_refused() -> None:
    for one, another in (("/a/{x}", "/a/{y}"), ("GET /a", "HEAD /a"), ("/{x}", "/*")):
        with pytest.raises(ValueError, match=another.split()[-1].replace("*", r"\*")):
            RouteRules({one: READ, another: ANY})


def test_the_most_exact_rule_of_a_method_counts() -> None:
    rules = MethodRules({"*": ANY, "/a.S/*": READ, "/a.S/Write": WRITE})
    assert [rules.of(each) for each in ("/a.S/Write", "/a.S/Read", "/b.S/Read")] == [
        WRITE,
        READ,
        ANY,
    ]
    with pytest.raises(PermissionDenied):
        MethodRules({"/a.S/Read": READ}).of("/a.S/Write")
    for mistake in ("a.S/Read", "/a.S", "/a.S/", "/a.*", "**"):
        with pytest.raises(ValueError, match="none of"):
            MethodRules({mistake: READ})


@pytest.mark.parametrize(
    ("permission", "patterns", "is_covered"),
    [
        ("a.b", ["a.b"], True),
        ("a.b", ["*"], True),
        ("a.b", ["a.*"], True),
        ("a.b.c", ["x", "a.*"], True),
        ("a", ["a.*"], False),
        ("ab", ["a.*"], False),
        ("a.b", ["a.b.c", "a"], False),
        ("a.b", [], False),
    ],
)
def test_what_a_principal_may_is_what_its_patterns_cover(
    permission: str, patterns: list[str], *, is_covered: bool
) -> None:
    assert covered(permission, patterns) is is_covered


@pytest.mark.parametrize("rule", [None, Requires, "datasets.read", ["datasets.read"], True])
def test_what_is_no_rule_is_refused_and_not_taken_for_public(rule: Any) -> None:
    with pytest.raises(TypeError, match=r"Requires\(\.\.\.\) or PUBLIC"):
        RouteRules({"/admin": rule})
    with pytest.raises(TypeError, match=r"Requires\(\.\.\.\) or PUBLIC"):
        MethodRules({"/shop.Orders/Get": rule})
