"""The console's configuration: every mistake at once, each with what would be right."""

from pathlib import Path

import pytest

from keywright.console.settings import parse_config, read_config
from keywright.sdk.errors import ConfigurationError

FILE = Path("console.toml")


def mistakes(text: str) -> list[str]:
    """What is wrong with a file, a line each."""
    with pytest.raises(ConfigurationError) as refused:
        parse_config(text, FILE)
    return [line.strip() for line in refused.value.message.splitlines()[1:]]


def test_without_a_file_it_is_for_this_machine() -> None:
    config = read_config(None)
    assert str(config.listen) == "127.0.0.1:7701"
    assert not config.is_secure
    assert config.openid_connect is None


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    told = mistakes(
        """
        listen = "0.0.0.0"
        public_url = "http://keys.example.com"
        trusted_proxies = ["10.0.0.1/8"]
        sign_in = ["password"]
        colour = "red"
        [limits]
        body_bytes = 0
        """
    )
    assert [each.partition(":")[0] for each in told] == [
        "colour",
        "listen",
        "public_url",
        "trusted_proxies",
        "sign_in",
        "limits.body_bytes",
    ]


@pytest.mark.parametrize("listen", ["0.0.0.0:7701", "unix:/run/keywright/console.sock"])
def test_who_can_be_reached_from_elsewhere_needs_an_address_with_https(listen: str) -> None:
    (told,) = mistakes(f'listen = "{listen}"')
    assert told.startswith("public_url: is needed")
    config = parse_config(f'listen = "{listen}"\npublic_url = "https://Keys.example.com/"', FILE)
    assert config.public_url == "https://keys.example.com"
    assert config.is_secure


@pytest.mark.parametrize(
    "url",
    [
        "keys.example.com",
        "https://",
        "https://a/b",
        "https://u@a",
        "http://a",
        "https://a?b",
        "https://[",
    ],
)
def test_an_address_is_one_without_a_path_and_with_https(url: str) -> None:
    (told,) = mistakes(f'public_url = "{url}"')
    assert told.startswith("public_url: ")


def test_nobody_could_sign_in() -> None:
    (told,) = mistakes("sign_in = []")
    assert told == "sign_in: nobody could sign in: name link, key or both"


def test_a_provider_needs_all_that_it_is_asked_with(tmp_path: Path) -> None:
    told = mistakes('[openid_connect]\nissuer = "http://id.example.com"\nscopes = ["email"]')
    assert [each.partition(":")[0] for each in told] == [
        "openid_connect.client_id",
        "openid_connect.workspace",
        "openid_connect.scopes",
        "openid_connect.issuer",
    ]
    text = (
        "sign_in = []\n[openid_connect]\n"
        'issuer = "https://id.example.com"\nclient_id = "c"\nworkspace = "acme"\n'
        'client_secret_file = "secret"\n'
    )
    assert "is no file" in mistakes(text)[0]
    (tmp_path / "secret").write_text("s")
    provider = parse_config(text, tmp_path / "console.toml").openid_connect
    assert provider is not None
    assert provider.client_secret_file == tmp_path / "secret"


def test_what_stands_on_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "console.toml"
    file.write_text('listen = "127.0.0.1:1"')
    assert str(read_config(file, "127.0.0.1:2").listen) == "127.0.0.1:2"
    with pytest.raises(ConfigurationError, match="listen"):
        read_config(None, "nowhere")
