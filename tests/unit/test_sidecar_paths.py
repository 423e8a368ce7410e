"""Which paths are taken, which rule counts for them, and what a pattern may be."""

import pytest

from keywright.sdk.drop_ins.patterns import Pattern
from keywright.sdk.drop_ins.routes import NoRule, RefusedCapture, Route, Routes, Rule
from keywright.sdk.drop_ins.targets import RefusedTarget, parse_decoded, parse_target

AMBIGUOUS = [
    "",
    "projects/abc",
    "http://elsewhere.example/projects/abc",
    "//elsewhere.example/projects/abc",
    "*",
    "elsewhere.example:443",
    "/projects//abc",
    "/projects/abc//",
    "/./projects",
    "/projects/.",
    "/projects/..",
    "/public/../projects/abc",
    "/projects/abc.",
    "/projects/abc...",
    "/public/%2e%2e/projects/abc",
    "/public/%2E%2E/projects/abc",
    "/public/.%2e/projects/abc",
    "/public/%252e%252e/projects/abc",
    "/projects%2fabc",
    "/projects%2Fabc",
    "/public%5c..%5cprojects",
    "/public\\..\\projects",
    "/projects;x=1/abc",
    "/projects/abc;jsessionid=1",
    "/projects/abc%3bx",
    "/projects/abc%00",
    "/projects/abc\x00",
    "/projects/abc%0d%0aX-Keywright-User: admin",
    "/projects/abc\r\nX-Keywright-User: admin",
    "/projects/abc%20",
    "/projects/abc#fragment",
    "/projects/abc%23",
    "/projects/abc%3f",
    "/%70rojects/abc",
    "/projects/%61bc",
    "/projects/abc%7e",
    "/projects/abc%",
    "/projects/abc%4",
    "/projects/abc%zz",
    "/projects/abc%u0041",
    "/projects/äbc",
    "/projects/abc%c0%af",
    "/projects/abc%ff",
    "/projects/%e2%80%ae",
    "/projects/a b",
    "/projects/abc\t",
    "/projects/abc?x=\x00",
    "/projects/abc?x=ä",
    "/projects/abc?x#y",
    "/" + "a" * 8_192,
]


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_a_target_that_can_be_understood_in_two_ways_is_refused(target: str) -> None:
    with pytest.raises(RefusedTarget):
        parse_target(target)


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("/a/b.txt?page=2&next=/x/../y", ("a", "b.txt")),
        ("/users/ann%40acme.example", ("users", "ann@acme.example")),
        ("/users/ann@acme.example", ("users", "ann@acme.example")),
        ("/files/a%20b", ("files", "a b")),
        ("/files/%c3%A4", ("files", "ä")),
        ("/v1/keys:revoke", ("v1", "keys:revoke")),
        ("/.well-known/x", (".well-known", "x")),
    ],
)
def test_a_plain_target_is_taken_segment_by_segment(target: str, segments: tuple[str, ...]) -> None:
    assert parse_target(target).segments == segments


@pytest.mark.parametrize(
    "path", ["/", "/a/", "/users/ann@acme.example", "/files/a b", "/files/ä", "/a~b!$&'()*+,=:-._c"]
)
def test_a_path_that_was_decoded_is_taken_as_it_is(path: str) -> None:
    assert parse_decoded(path).decoded == path


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "a",
            "//a",
            "/a//",
            "/./a",
            "/a/..",
            "/a.",
            "/a;b",
            "/a\\b",
            "/a#b",
            "/a?b",
            "/a%2fb",
        ),
        *("/a%", "/a\0", "/a\n", "/ a", "/a ", "/a\x85", "/a\u202e", "/a\ud800", f"/{8_192 * 'a'}"),
    ],
)
def test_a_path_that_was_decoded_and_can_be_understood_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(RefusedTarget):
        parse_decoded(path)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/", ["/"], ["/a"]),
        ("/a", ["/a"], ["/", "/a/", "/A", "/a/b"]),
        ("/a/", ["/a/"], ["/a", "/a/b"]),
        ("/a/*", ["/a/b"], ["/a", "/a/", "/a/b/c", "/a/b/"]),
        ("/a/{x}/c", ["/a/b/c"], ["/a/c", "/a/b/d"]),
        ("/a/**", ["/a", "/a/", "/a/b", "/a/b/c/"], ["/", "/b", "/ab"]),
        ("/**", ["/", "/a", "/a/b"], []),
        ("/a@b", ["/a@b", "/a%40b"], ["/a"]),
    ],
)
def test_a_pattern_matches_what_its_description_says(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    parsed = Pattern.parse(pattern)
    assert [each for each in matching if not parsed.matches(parse_target(each).segments)] == []
    assert [each for each in others if parsed.matches(parse_target(each).segments)] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "/a//b",
        "/a/./b",
        "/a/..",
        "/a.",
        "/a;b",
        "/%61",
        "/ä",
        "/a b",
        "/**/a",
        "/a*",
        "/v{n}",
        "/{}",
        "/{A}",
        "/{a}/{a}",
        "/a?b",
        "/a\\b",
    ],
)
def test_a_pattern_that_could_never_match_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pattern.parse(text)


def route(path: str, *methods: str, label: str = "", resource: str = "") -> Route:
    rule = Rule(label or path, resource=resource)
    return Route(Pattern.parse(path), frozenset(methods) or None, rule)


@pytest.mark.parametrize(
    ("target", "wins"),
    [
        ("/projects/export", "/projects/export"),
        ("/projects/abc", "/projects/{project}"),
        ("/projects/abc/files", "/projects/**"),
        ("/projects/", "/projects/**"),
        ("/projects", "/projects/**"),
        ("/users/export", "/{kind}/export"),
        ("/users", "/**"),
    ],
)
def test_the_most_specific_pattern_wins_whatever_the_order(target: str, wins: str) -> None:
    paths = [
        *("/**", "/{kind}/export", "/projects/**", "/projects/{project}", "/projects/export"),
    ]
    for ordered in (paths, paths[::-1]):
        routes = Routes([route(path) for path in ordered])
        assert routes.find("GET", parse_target(target)).label == wins
        assert routes.mistakes() == {}


def test_a_method_without_a_route_is_not_left_to_a_less_specific_path() -> None:
    routes = Routes([route("/admin/**", "GET"), route("/**")], default=Rule("default", public=True))
    assert routes.find("GET", parse_target("/admin/x")).label == "/admin/**"
    with pytest.raises(NoRule):
        routes.find("DELETE", parse_target("/admin/x"))


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/users/{user}", "/users/{user}/"])
def test_a_path_with_another_end_than_a_route_is_not_left_to_a_less_specific_path(
    path: str,
) -> None:
    routes = Routes([route(path), route("/**")], default=Rule("default", public=True))
    target = path.format(user="ann")
    assert routes.find("GET", parse_target(target)).label == path
    with pytest.raises(NoRule):
        routes.find("GET", parse_target(target[:-1] if target.endswith("/") else f"{target}/"))
    assert routes.find("GET", parse_target("/")).label == "/**"


def test_a_path_with_another_end_may_have_a_route_of_its_own() -> None:
    routes = Routes([route("/a"), route("/a/"), route("/b/**"), route("/**")])
    for target, label in (("/a", "/a"), ("/a/", "/a/"), ("/b", "/b/**"), ("/b/", "/b/**")):
        assert routes.find("GET", parse_target(target)).label == label


def test_a_route_for_some_methods_comes_before_one_for_all_of_the_same_paths() -> None:
    routes = Routes([route("/a/*", label="all"), route("/a/{x}", "GET", label="get")])
    assert routes.find("GET", parse_target("/a/b")).label == "get"
    assert routes.find("PUT", parse_target("/a/b")).label == "all"
    assert routes.mistakes() == {}


@pytest.mark.parametrize(
    ("paths", "unreachable"),
    [
        (["/a/**", "/a", "/a/", "/a/*/**"], {"/a/**"}),
        (["/a/**", "/a", "/a/*/**"], {"/a/**"}),  # /a/ is the other end of /a
        (["/a/**", "/a/*/**"], set()),
        (["/a/{x}", "/a/*"], {"/a/*"}),
        (["/**", "/", "/{x}/**"], {"/**"}),
        (["/a/{x}/**", "/a/**"], set()),
        (["/a/b", "/a/{x}"], set()),
    ],
)
def test_a_route_that_others_cover_wholly_is_a_mistake(
    paths: list[str], unreachable: set[str]
) -> None:
    mistakes = Routes([route(path) for path in paths]).mistakes()
    assert {each.pattern.text for each in mistakes} == unreachable


def test_two_routes_for_the_same_method_and_paths_are_a_mistake() -> None:
    routes = Routes([route("/a/{x}", "GET", "PUT"), route("/a/{y}", "PUT", "POST")])
    (mistake,) = routes.mistakes().values()
    assert "is for PUT" in mistake


def test_which_of_two_overlapping_routes_wins_is_shown_with_an_example() -> None:
    routes = Routes([route("/**"), route("/a/{x}"), route("/{y}/b"), route("/c")])
    shown = {
        (each.wins.pattern.text, each.loses.pattern.text): each.example
        for each in routes.overlaps()
    }
    assert shown == {
        ("/a/{x}", "/{y}/b"): "/a/b",
        ("/a/{x}", "/**"): "/a/x",
        ("/{y}/b", "/**"): "/x/b",
        ("/c", "/**"): "/c",
    }


def test_a_resource_is_made_of_segments_of_the_path() -> None:
    routes = Routes([route("/p/{project}/{file}/**", resource="projects/{project}/files/{file}")])
    assert (
        routes.find("GET", parse_target("/p/abc/x.txt/raw")).resource == "projects/abc/files/x.txt"
    )


@pytest.mark.parametrize("target", ["/p/a%20b", "/p/%c3%a4", "/p/a%40b", f"/p/{504 * 'x'}"])
def test_what_is_encoded_or_too_long_never_becomes_part_of_a_resource(target: str) -> None:
    routes = Routes([route("/p/{project}", resource="projects/{project}")])
    with pytest.raises(RefusedCapture):
        routes.find("GET", parse_target(target))
