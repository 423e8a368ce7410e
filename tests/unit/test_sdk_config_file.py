"""The file in which a client finds what is neither given nor in its environment."""

from pathlib import Path

import pytest

from keywright.sdk import Client, ConfigurationError, Secret
from keywright.sdk.connection.config_file import ConfigFile
from keywright.sdk.connection.connection import TlsFiles, Way
from keywright.sdk.connection.credentials import find_api_key, find_uri
from tests.unit.test_tls_files import ONE

KEY = "kw_live_3fK9aZ01bQxYp8"


def written(path: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """An environment that names a file with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return {"KEYWRIGHT_CLIENT_CONFIG": str(path)}


def refused(environ: dict[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        ConfigFile.find(environ)
    assert caught.value.reason == "CONFIG_FILE_INVALID"
    assert KEY not in str(caught.value)
    return caught.value


def test_each_value_is_looked_up_by_itself(tmp_path: Path) -> None:
    environ = written(tmp_path / "kw.toml", f'uri = "grpcs://file.example"\napi_key = "{KEY}"')
    assert find_uri(None, environ) == "grpcs://file.example"
    assert find_api_key(None, environ) == Secret(KEY)
    environ["KEYWRIGHT_URI"] = "grpcs://environment.example"
    assert find_uri(None, environ) == "grpcs://environment.example"
    assert find_api_key(None, environ) == Secret(KEY)
    assert find_api_key("given", environ | {"KEYWRIGHT_API_KEY": "set"}) == Secret("given")
    assert find_api_key(None, environ | {"KEYWRIGHT_API_KEY": "set"}) == Secret("set")


def test_a_file_in_the_home_directory_is_found_unless_another_place_is_meant(
    tmp_path: Path,
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    written(home / ".config" / "keywright" / "config.toml", 'uri = "home:1"')
    written(elsewhere / "keywright" / "config.toml", 'uri = "elsewhere:1"')
    named = written(tmp_path / "named.toml", 'uri = "named:1"')
    environ = {"HOME": str(home)}
    assert find_uri(None, environ) == "home:1"
    assert find_uri(None, environ | {"XDG_CONFIG_HOME": "relative"}) == "home:1"
    environ["XDG_CONFIG_HOME"] = str(elsewhere)
    assert find_uri(None, environ) == "elsewhere:1"
    assert find_uri(None, environ | named) == "named:1"
    assert find_uri(None, environ | {"KEYWRIGHT_CLIENT_CONFIG": "/dev/null"}) == "127.0.0.1:7700"


def test_no_file_is_needed_but_one_that_is_named_is(tmp_path: Path) -> None:
    assert ConfigFile.find({}).get("uri") is None
    assert ConfigFile.find({"HOME": str(tmp_path)}).get("uri") is None
    error = refused({"KEYWRIGHT_CLIENT_CONFIG": str(tmp_path / "absent.toml")})
    assert "absent.toml cannot be read: No such file" in str(error)


def test_a_missing_key_names_every_place_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as missing:
        find_api_key(None, {"HOME": str(tmp_path)})
    assert missing.value.reason == "API_KEY_MISSING"
    for place in ("api_key", "--api-key-file", "KEYWRIGHT_API_KEY", "keywright/config.toml"):
        assert place in str(missing.value)


def test_a_key_may_be_in_a_file_of_its_own_beside_the_file(tmp_path: Path) -> None:
    environ = written(tmp_path / "kw.toml", 'api_key_file = "kw.key"', mode=0o644)
    (tmp_path / "kw.key").write_text(f"{KEY}\n")
    assert find_api_key(None, environ) == Secret(KEY)
    (tmp_path / "kw.key").write_text("\n")
    with pytest.raises(ConfigurationError, match=r"kw\.key is empty") as missing:
        find_api_key(None, environ)
    assert missing.value.reason == "API_KEY_MISSING"
    (tmp_path / "kw.key").unlink()
    with pytest.raises(ConfigurationError, match=r"kw\.key cannot be read: No such") as missing:
        find_api_key(None, environ)
    assert missing.value.reason == "API_KEY_MISSING"
    nowhere = written(tmp_path / "kw.toml", 'api_key_file = "~nobody-here/kw.key"', mode=0o644)
    with pytest.raises(ConfigurationError, match="as api_key_file, and there is no such home"):
        find_api_key(None, nowhere)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_with_a_key_that_others_may_read_is_refused_with_what_to_do(
    tmp_path: Path, mode: int
) -> None:
    error = refused(written(tmp_path / "kw.toml", f'api_key = "{KEY}"', mode))
    assert f"chmod 600 {tmp_path}/kw.toml" in str(error)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('url = "a:1"\nkey = "b"', "key, url; there are uri, api_key"),
        ("uri = 7700", "must have text as uri"),
        ('api_key = " "', "must have text as api_key"),
        ('[uri]\nhost = "a"', "must have text as uri"),
        (f'api_key = "{KEY}"\napi_key_file = "x"', "leave one out"),
        (f"api_key = {KEY}", "is not a TOML file"),
        ('api_key_file = "a\\u0000b"', "must have text as api_key_file"),
    ],
)
def test_a_mistake_in_the_file_is_told_and_never_the_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problem in str(refused(written(tmp_path / "kw.toml", text)))


def test_what_cannot_be_a_file_of_settings_is_told(tmp_path: Path) -> None:
    (tmp_path / "kw.toml").write_bytes(b"\xff\xfe")
    environ = {"KEYWRIGHT_CLIENT_CONFIG": str(tmp_path / "kw.toml")}
    assert "it is not UTF-8" in str(refused(environ))
    assert "Is a directory" in str(refused({"KEYWRIGHT_CLIENT_CONFIG": str(tmp_path)}))


def test_certificates_are_found_where_they_are_of_use(tmp_path: Path) -> None:
    environ = written(
        tmp_path / "kw.toml", 'ca_file = "ca.pem"\ncertificate_file = "c"\nkey_file = "k"'
    )
    from_file = rf"ca_file: {tmp_path}/ca\.pem cannot be read.*what was not given is of .*kw\.toml"
    with pytest.raises(ConfigurationError, match=from_file):
        Way.find("grpcs://a.example", TlsFiles(), environ, allow_plaintext=False)
    for name, content in (("ca.pem", ONE.certificate), ("c", ONE.certificate), ("k", ONE.key)):
        (tmp_path / name).write_bytes(content)
    Way.find("grpcs://a.example", TlsFiles(), environ, allow_plaintext=False)
    Way.find("127.0.0.1:1", TlsFiles(), environ, allow_plaintext=False)
    given = TlsFiles(certificate=tmp_path / "c")
    with pytest.raises(ConfigurationError, match="given together"):
        Way.find("grpcs://a.example", given, environ, allow_plaintext=False)


def test_a_client_is_made_with_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = written(tmp_path / "kw.toml", f'uri = "https://a"\napi_key = "{KEY}"')
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for name in ("KEYWRIGHT_URI", "KEYWRIGHT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="'https://a' is no address"):
        Client()
    Client("127.0.0.1:1").close()
