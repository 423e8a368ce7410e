"""What can name an application's resource, and what lies below what."""

import pytest

from keywright.domain.resources import RESOURCE_MAX_LENGTH, covers, is_resource
from keywright.sdk.values import resources as of_clients


@pytest.mark.parametrize("text", ["projects/abc", "x", "a/b/c/d", "projekte/größe", "a:b"])
def test_segments_joined_by_slashes_name_a_resource(text: str) -> None:
    assert is_resource(text)


@pytest.mark.parametrize(
    "text",
    ["", "/", "/a", "a/", "a//b", "a\x00", "a\nb", "a/\x7f", "a" * (RESOURCE_MAX_LENGTH + 1)],
)
def test_empty_segments_control_characters_and_long_names_are_refused(text: str) -> None:
    assert not is_resource(text)


def test_a_resource_covers_itself_and_what_is_below_it() -> None:
    assert covers("projects/a", "projects/a")
    assert covers("projects/a", "projects/a/datasets/1")


@pytest.mark.parametrize("other", ["projects", "projects/ab", "projects/b", "Projects/a", "", "a"])
def test_a_resource_covers_nothing_beside_or_above_it(other: str) -> None:
    assert not covers("projects/a", other)


def test_clients_and_servers_take_the_same_resources() -> None:
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    segments = ["", "a", "/", "a//b", *(length * "a" for length in (512, 513)), *characters]
    for text in [*segments, *(f"a/{each}" for each in segments)]:
        assert of_clients.is_resource(text) == is_resource(text), ascii(text)
