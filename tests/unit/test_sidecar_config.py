"""The sidecar's configuration: what it means, and how each mistake in it is told."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keywright.sdk.errors import ConfigurationError
from keywright.sidecar.commands import sidecar
from keywright.sidecar.config import AccessLog, Config, CredentialSource, Front, Proxy
from keywright.sidecar.policy import parse_config, read_config

FILE = Path("sidecar.toml")
ROOT = Path(__file__).parents[2]


def parse(text: str) -> Config:
    return parse_config(text, FILE)


def test_an_empty_file_lets_nobody_through_and_listens_on_this_machine() -> None:
    config = parse("")
    assert (str(config.http), str(config.envoy)) == ("127.0.0.1:7710", "127.0.0.1:7711")
    assert config.routes.ordered == ()
    assert config.routes.default is None
    assert config.forward_auth is None


def test_everything_can_be_set() -> None:
    config = parse(
        """
        credentials = ["basic"]
        access_log = "denied"
        [listen]
        http = "unix:/run/keywright/http.sock"
        envoy = ""
        [headers]
        user = "X-Auth-User"
        [forward_auth]
        proxy = "traefik"
        trusted_proxies = ["10.0.0.0/8"]
        [limits]
        header_bytes = 10_000
        [default]
        permissions = []
        [[routes]]
        path = "/a"
        methods = ["GET"]
        permissions = ["a.b"]
        resource = "things"
        required_environment = "live"
        """
    )
    assert str(config.http) == "unix:/run/keywright/http.sock"
    assert config.envoy is None
    assert config.credentials == {CredentialSource.BASIC}
    assert config.access_log is AccessLog.DENIED
    assert config.identity.user == "x-auth-user"
    assert config.identity.email == "x-keywright-email"
    assert config.forward_auth is not None
    assert config.forward_auth.proxy is Proxy.TRAEFIK
    assert config.limits.header_bytes == 10_000
    (route,) = config.routes.ordered
    assert (route.rule.permissions, route.rule.resource) == (("a.b",), "things")
    assert config.routes.default is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "is not TOML: "),
        ("credential = []", "credential: there is no such field; did you mean credentials?"),
        ("zzz = 1", "zzz: there is no such field; there are credentials, access_log,"),
        ("credentials = []", "credentials: at least one is needed"),
        ('credentials = ["query"]', "credentials: 'query': must be one of bearer, x-api-key"),
        ("credentials = 3", "credentials: must be a list of texts"),
        ('access_log = "some"', "access_log: 'some': must be one of all, denied, off"),
        ("routes = 3", "routes: must be tables, each under [[routes]]"),
        ("listen = 3", "listen: must be a table"),
        ('[listen]\nhttp = "0.0.0.0:1"', "listen.http: 0.0.0.0:1: others than this machine could"),
        ('[listen]\nhttp = "localhost:1"', "listen.http: 'localhost:1': an address is written"),
        ('[listen]\nenvoy = "unix:run"', "listen.envoy: 'unix:run': a UNIX socket is written"),
        ('[listen]\nhttp = "127.0.0.1:99999"', "listen.http: '127.0.0.1:99999': an address is"),
        ('[listen]\nhttp = ""\nenvoy = ""', "listen: one of http and envoy is needed"),
        (
            '[listen]\nhttp = "unix:/a"\nenvoy = "unix:/a"',
            "listen.envoy: unix:/a is where http listens",
        ),
        (
            '[listen]\nhttp = ""\n[forward_auth]\nproxy = "caddy"',
            "forward_auth: nobody could ever ask: listen.http is switched off",
        ),
        ('[headers]\nuser = "Upgrade"', "headers.user: 'Upgrade': this header means something"),
        ('[headers]\nuser = "a b"', "headers.user: 'a b': a header's name is letters"),
        ('[headers]\nuser = "x_user"', "headers.user: 'x_user': a header's name is letters"),
        ('[headers]\nuser = "Host"', "headers.user: 'Host': this header means something else"),
        ('[headers]\nuser = "X-Api-Key"', "headers.user: 'X-Api-Key': this header means"),
        ('[headers]\nrole = "X-Keywright-User"', "headers.role: x-keywright-user is the name of"),
        ('[headers]\nname = "x-n"', "headers.name: there is no such field"),
        ("[forward_auth]", "forward_auth.proxy: is needed: nginx, traefik or caddy"),
        ('[forward_auth]\nproxy = "apache"', "forward_auth.proxy: 'apache': must be one of nginx"),
        (
            '[forward_auth]\nproxy = "caddy"\ntrusted_proxies = []',
            "forward_auth.trusted_proxies: names none, so that nobody could ever ask at 127.0.0.1",
        ),
        (
            '[forward_auth]\nproxy = "caddy"\ntrusted_proxies = ["10.0.0.1/8"]',
            "forward_auth.trusted_proxies: '10.0.0.1/8': must be a network",
        ),
        ("[limits]\nheader_bytes = 0", "limits.header_bytes: must be a whole number from 1"),
        ("[limits]\nconnections = true", "limits.connections: must be a whole number from 1"),
        ("[[routes]]\npermissions = []", "routes[1].path: is needed"),
        ('[[routes]]\npath = "/a"', "routes[1].permissions: is needed"),
        ('[[routes]]\npath = "a"\npublic = true', "routes[1].path: 'a': a path begins with /"),
        ('[[routes]]\npath = "/a//b"\npublic = true', "routes[1].path: '/a//b': could never match"),
        ('[[routes]]\npath = "/%2e"\npublic = true', "routes[1].path: '/%2e': could never match"),
        ('[[routes]]\npath = "/a"\npublic = 1', "routes[1].public: must be true or false"),
        (
            '[[routes]]\npath = "/a"\npublic = true\npermissions = ["a"]',
            "routes[1].public: nobody is asked for a key here",
        ),
        (
            '[[routes]]\npath = "/a"\npermission = ["a"]',
            "routes[1].permission: there is no such field; did you mean permissions?",
        ),
        (
            '[[routes]]\npath = "/a"\npermissions = ["a.*"]',
            "routes[1].permissions: 'a.*': must be a permission like datasets.read, no pattern",
        ),
        (
            '[[routes]]\npath = "/a"\npermissions = []\nmethods = ["get"]',
            "routes[1].methods: 'get' could never match: methods are capital letters",
        ),
        (
            '[[routes]]\npath = "/a"\npermissions = []\nmethods = []',
            "routes[1].methods: names none, so that it could never match",
        ),
        (
            '[[routes]]\npath = "/a/{x}"\npermissions = []\nresource = "things/{y}"',
            "routes[1].resource: {y} is no segment of the path /a/{x}",
        ),
        (
            '[[routes]]\npath = "/a/{x}"\npermissions = []\nresource = "things/{x"',
            "routes[1].resource: 'things/{x': between braces stands the name of a segment",
        ),
        (
            '[[routes]]\npath = "/a/{x}"\npermissions = []\nresource = "things/{x!r}"',
            "routes[1].resource: 'things/{x!r}': between braces stands the name of a segment",
        ),
        (
            '[[routes]]\npath = "/a"\npermissions = []\nrequired_environment = "Live"',
            "routes[1].required_environment: 'Live': must be an id",
        ),
        (
            '[[routes]]\npath = "/a/{x}"\npublic = true\n[[routes]]\npath = "/a/*"\npublic = true',
            "routes[2]: /a/* (every method) is the same as /a/{x} (every method)",
        ),
        (
            '[[routes]]\npath = "/a"\npublic = true\n[[routes]]\npath = "/a"\npublic = true',
            "routes[2]: /a (every method) is there twice",
        ),
        (
            "".join(
                f'[[routes]]\npath = "{path}"\npublic = true\n'
                for path in ("/a/**", "/a", "/a/", "/a/*/**")
            ),
            "routes[1]: /a/** (every method) could never match",
        ),
        ('[default]\nresource = "a/{b}"', "default.resource: {b} is no segment of the path"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(text)
    assert raised.value.reason == "CONFIG_FILE_INVALID"
    assert f"\n  {told}" in raised.value.message


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse('access = 1\n[listen]\nhttp = "x"\n[[routes]]\npath = "x"\n')
    assert len(raised.value.message.splitlines()) == 5


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.toml:\n  cannot be read"):
        read_config(tmp_path / "missing.toml")


def test_check_config_shows_what_wins_and_exits_with_2_for_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.toml"
    file.write_text(
        """
        [default]
        permissions = []
        [[routes]]
        path = "/projects/{project}/**"
        methods = ["GET"]
        permissions = ["projects.read"]
        resource = "projects/{project}"
        required_environment = "live"
        [[routes]]
        path = "/projects/export"
        public = true
        """
    )
    shown = CliRunner().invoke(sidecar, ["check-config", str(file)])
    assert shown.exit_code == 0
    assert shown.output.splitlines() == [
        "Front, which answers Check: grpc",
        "Routes, the first that matches a path decides (2):",
        "  /projects/export (every method): public, no key is asked for",
        "  /projects/{project}/** (GET): projects.read, on projects/{project}, of environment live",
        "  everything else: any key that stands",
        "Where two match, the more specific one wins:",
        (
            "  /projects/export: /projects/export (every method) wins over "
            "/projects/{project}/** (GET)"
        ),
    ]
    file.write_text("[listen]\nhttp = 3")
    refused = CliRunner().invoke(sidecar, ["check-config", str(file)])
    assert refused.exit_code == 2
    assert "listen.http: must be a text" in refused.output


@pytest.mark.parametrize("front", Front)
def test_the_front_is_the_files_unless_the_command_says_another(front: Front) -> None:
    text = f'front = "{front.value}"'
    assert parse(text).front is front
    for said in Front:
        assert parse_config(text, FILE, said.value).front is said


def test_a_front_that_is_none_or_has_nothing_to_answer_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="front: 'nginx': must be one of grpc, envoy"):
        parse('front = "nginx"')
    with pytest.raises(ConfigurationError, match="front: envoy answers Check, and"):
        parse('front = "envoy"\n[listen]\nenvoy = ""')


def test_a_directory_for_temporary_files_that_no_socket_fits_in_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", f"/tmp/{'x' * 90}")
    with pytest.raises(ConfigurationError, match=r"front: envoy makes UNIX sockets .* TMPDIR"):
        parse('front = "envoy"')
    parse("")


def test_the_guides_example_and_the_shipped_files_are_right() -> None:
    guide = (ROOT / "docs" / "guides" / "sidecar.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    parse(example)
    for line in ("beyond_this_machine = true", "[default]", "permissions = []"):
        assert f"# {line}" in example
    shipped = sorted((ROOT / "deploy").glob("*/sidecar.toml"))
    assert len(shipped) == 4
    for file in shipped:
        assert len(read_config(file).routes.ordered) == 4


def test_the_guides_example_shows_the_defaults() -> None:
    guide = (ROOT / "docs" / "guides" / "sidecar.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    shown, default = parse(example), parse('[forward_auth]\nproxy = "nginx"')
    assert replace(shown, routes=default.routes) == default
