"""Where a client finds its address and key, and that a key does not print."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from keywright.sdk import Client, ConfigurationError, Secret
from keywright.sdk.connection.credentials import find_api_key, find_uri, read_api_key

KEY = "kw_live_3fK9aZ01bQxYp8"


def test_an_argument_wins_over_the_environment() -> None:
    assert find_uri("grpcs://a.example", {"KEYWRIGHT_URI": "grpcs://b.example"}) == (
        "grpcs://a.example"
    )
    assert find_api_key("a", {"KEYWRIGHT_API_KEY": "b"}) == Secret("a")


def test_the_environment_is_asked_where_nothing_is_given() -> None:
    assert find_uri(None, {"KEYWRIGHT_URI": " grpcs://b.example\n"}) == "grpcs://b.example"
    assert find_api_key(None, {"KEYWRIGHT_API_KEY": f"{KEY}\n"}) == Secret(KEY)


@pytest.mark.parametrize("environ", [{}, {"KEYWRIGHT_URI": ""}])
def test_without_an_address_a_server_on_this_machine_is_meant(environ: dict[str, str]) -> None:
    assert find_uri(None, environ) == "127.0.0.1:7700"


@pytest.mark.parametrize("environ", [{}, {"KEYWRIGHT_API_KEY": ""}, {"KEYWRIGHT_API_KEY": " \n"}])
def test_a_missing_key_says_where_it_was_looked_for(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="KEYWRIGHT_API_KEY") as missing:
        find_api_key(None, environ)
    assert missing.value.reason == "API_KEY_MISSING"


def test_a_malformed_address_says_where_it_was_found(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="variable KEYWRIGHT_URI: 'http://a' is no"
    ) as told:
        find_uri(None, {"KEYWRIGHT_URI": "http://a"})
    assert told.value.reason == "URI_MALFORMED"
    file = tmp_path / "config.toml"
    file.write_text('uri = "http://a"\n')
    with pytest.raises(
        ConfigurationError, match=r"uri in .*config\.toml: 'http://a' is no address"
    ):
        find_uri(None, {"KEYWRIGHT_CLIENT_CONFIG": str(file)})


def test_a_file_without_a_key_that_could_be_sent_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.key"
    for text, reason in (
        (f"{KEY}\n", ""),
        (" \n", "API_KEY_MISSING"),
        ("a b", "API_KEY_MALFORMED"),
    ):
        file.write_text(text)
        if not reason:
            assert read_api_key(file) == Secret(KEY)
            continue
        with pytest.raises(ConfigurationError, match=r"own\.key") as told:
            read_api_key(file)
        assert told.value.reason == reason


def test_what_is_no_text_is_a_mistake_of_the_program() -> None:
    given: Any = 7700
    with pytest.raises(TypeError, match="address is text, and not int"):
        find_uri(given, {})
    with pytest.raises(TypeError, match="key is text, and not int"):
        find_api_key(given, {})


def test_an_empty_argument_does_not_fall_back_to_another_server() -> None:
    with pytest.raises(ConfigurationError, match="'' is no address"):
        Client(" ", "key")


def test_a_client_has_a_key_or_none() -> None:
    with pytest.raises(ValueError, match="an api_key is given, and anonymous"):
        Client("127.0.0.1:1", "key", anonymous=True)


def test_an_empty_argument_does_not_fall_back_to_another_key() -> None:
    with pytest.raises(ConfigurationError) as missing:
        find_api_key("", {"KEYWRIGHT_API_KEY": "b"})
    assert missing.value.reason == "API_KEY_MISSING"


@pytest.mark.parametrize("key", ["a b", "a\nb", "a\x00b", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as malformed:
        find_api_key(key, {})
    assert malformed.value.reason == "API_KEY_MALFORMED"
    assert key not in str(malformed.value)


def test_a_secret_is_shown_only_by_reveal() -> None:
    secret = Secret(KEY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>80}", repr([secret]), f"{secret!a}"]
    assert all(KEY not in each for each in shown)
    assert secret.reveal() == KEY


def test_secrets_are_equal_when_their_text_is() -> None:
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_secret_is_neither_pickled_nor_copied_nor_changed() -> None:
    secret = Secret(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.copy(secret)
    with pytest.raises(AttributeError):
        secret._text = "other"
