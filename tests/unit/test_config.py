import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from keywright.app.config import Config, load
from keywright.app.mistakes import ConfigurationError
from keywright.app.quantities import format_size, parse_duration, parse_size
from keywright.domain.secret import Secret
from keywright.listening import TcpAddress
from keywright.security.audit_signing import TrustedKeys
from keywright.security.pepper import PepperRing

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "configuration.md"
PEPPER = "h1K0o9v1cJm0jYxG0m6aF4hZ1m6Jm1w8r5QnTq9yXyA="


def mistakes(environ: Mapping[str, str], config_file: Path | None = None) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as refused:
        load(environ, config_file)
    assert all(str(mistake) in str(refused.value) for mistake in refused.value.mistakes)
    return {mistake.where.split()[0]: mistake.problem for mistake in refused.value.mistakes}


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "keywright.toml"


def test_without_any_setting_the_defaults_hold() -> None:
    config = load({"PATH": "/bin", "HOME": "/root"})
    assert config == Config()
    assert config.listen == TcpAddress("127.0.0.1", 7700)
    assert config.database_url is None
    assert config.tls is None
    assert config.peppers == PepperRing()


def test_a_constructed_config_does_not_look_at_the_process_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEYWRIGHT_LISTEN", "127.0.0.1:1")
    assert Config().listen == load({}).listen == TcpAddress("127.0.0.1", 7700)


def test_each_kind_of_value_is_read_from_the_environment() -> None:
    config = load(
        {
            "KEYWRIGHT_DATABASE_POOL_SIZE": "20",
            "KEYWRIGHT_DEFAULT_DEADLINE": "500ms",
            "KEYWRIGHT_MAX_REQUEST_BYTES": "8MiB",
            "KEYWRIGHT_METRICS_LISTEN": "",
            "KEYWRIGHT_REFLECTION": "false",
            "KEYWRIGHT_LOG_FORMAT": "console",
            "KEYWRIGHT_PEPPERS": f"1:{PEPPER},2:{PEPPER}",
            "KEYWRIGHT_PEPPER_CURRENT_VERSION": "1",
        }
    )
    assert config.database_pool_size == 20
    assert config.default_deadline == timedelta(milliseconds=500)
    assert config.max_request_bytes == 8 * 1024 * 1024
    assert config.metrics_listen is None
    assert config.reflection is False
    assert config.log_format == "console"
    assert (sorted(config.peppers.peppers), config.peppers.current) == ([1, 2], 1)


def test_each_kind_of_value_is_read_from_the_file(toml: Path) -> None:
    toml.write_text(
        'database_pool_size = 20\ndefault_deadline = "500ms"\nmax_request_bytes = "8MiB"\n'
        'max_response_bytes = 65536\nmetrics_listen = ""\nreflection = false\n'
    )
    config = load({}, toml)
    assert config.database_pool_size == 20
    assert config.default_deadline == timedelta(milliseconds=500)
    assert config.max_request_bytes == 8 * 1024 * 1024
    assert config.max_response_bytes == 65536
    assert config.metrics_listen is None
    assert config.reflection is False


def test_the_environment_wins_over_the_file(toml: Path) -> None:
    toml.write_text('listen = "127.0.0.1:1"\nmetrics_listen = "127.0.0.1:2"\n')
    config = load({"KEYWRIGHT_LISTEN": "127.0.0.1:3"}, toml)
    assert (str(config.listen), str(config.metrics_listen)) == ("127.0.0.1:3", "127.0.0.1:2")


def test_a_file_given_by_the_command_wins_over_the_one_in_the_environment(toml: Path) -> None:
    toml.write_text('listen = "127.0.0.1:1"')
    assert str(load({"KEYWRIGHT_CONFIG": str(toml)}).listen) == "127.0.0.1:1"
    assert str(load({"KEYWRIGHT_CONFIG": "/nowhere"}, toml).listen) == "127.0.0.1:1"


def test_every_mistake_in_environment_and_file_is_reported_at_once(toml: Path) -> None:
    toml.write_text('listne = "127.0.0.1:1"\ndatabase_pool_size = true\nlog_level = "loud"\n')
    found = mistakes(
        {
            "KEYWRIGHT_LISTEN": "everywhere",
            "KEYWRIGHT_SHUTDOWN_GRACE": "soon",
            "KEYWRIGHT_MAX_REQUEST_BYTES": "4MB",
            "KEYWRIGHT_REFLECTION": "perhaps",
            "KEYWRIGHT_TLS_KEY_FILE": "/etc/tls.key",
            "KEYWRIGHT_AUTHENTICATE_CALLERS": "mtls",
            "KEYWRIGHT_TOKEN_BRAND": "Key_Wright",
            "KEYWRIGHT_PEPPERS": "1:short",
            "KEYWRIGHT_MAX_DEADLINE": "1s",
            "KEYWRIGHT_ARGON_THREADS": "4",
        },
        toml,
    )
    assert found == {
        "KEYWRIGHT_ARGON_THREADS": "is not a setting; did you mean KEYWRIGHT_ARGON2_THREADS?",
        "listne": "is not a setting; did you mean listen?",
        "KEYWRIGHT_DATABASE_POOL_SIZE": "must be a whole number from 1 to 1000",
        "KEYWRIGHT_LISTEN": "must be <host>:<port>, as in 127.0.0.1:7700 or [::1]:7700",
        "KEYWRIGHT_TLS_KEY_FILE": "needs KEYWRIGHT_TLS_CERTIFICATE_FILE beside it",
        "KEYWRIGHT_AUTHENTICATE_CALLERS": (
            "may be mtls only if KEYWRIGHT_TLS_CLIENT_CA_FILE is set"
        ),
        "KEYWRIGHT_TOKEN_BRAND": (
            "a brand is 1 to 16 lower-case letters and digits, a letter first"
        ),
        "KEYWRIGHT_PEPPERS": "pepper entry 1: must be <version>:<base64>",
        "KEYWRIGHT_REFLECTION": "must be true or false",
        "KEYWRIGHT_MAX_REQUEST_BYTES": (
            "must be a size from 4KiB to 256MiB, written as in 65536, 64KiB or 4MiB"
        ),
        "KEYWRIGHT_DEFAULT_DEADLINE": "must not be longer than KEYWRIGHT_MAX_DEADLINE",
        "KEYWRIGHT_SHUTDOWN_GRACE": (
            "must be a duration from 0s to 1h, written as in 500ms, 30s, 5m, 1h or 90d"
        ),
        "KEYWRIGHT_LOG_LEVEL": "must be 'debug', 'info', 'warning' or 'error'",
    }


def test_a_mistake_names_the_setting_as_it_is_typed_in_either_place() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load({"KEYWRIGHT_DATABASE_POOL_SIZE": "0"})
    assert str(refused.value) == (
        "the configuration has a mistake:\n  KEYWRIGHT_DATABASE_POOL_SIZE (in TOML: "
        "database_pool_size): must be a whole number from 1 to 1000"
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DATABASE_POOL_SIZE", ""),
        ("DATABASE_POOL_SIZE", "1001"),
        ("DATABASE_POOL_SIZE", "1_0"),
        ("DATABASE_POOL_SIZE", "9" * 10_000),
        ("SHUTDOWN_GRACE", "30"),
        ("SHUTDOWN_GRACE", "-1s"),
        ("SHUTDOWN_GRACE", "1.5s"),
        ("SHUTDOWN_GRACE", "2h"),
        ("SHUTDOWN_GRACE", "PT30S"),
        ("MAX_METADATA_BYTES", "1"),
        ("MAX_METADATA_BYTES", "1 MiB"),
        ("METRICS_LISTEN", "unix:/run/metrics.sock"),
        ("AUTHENTICATE_CALLERS", "ANY"),
        ("PEPPER_CURRENT_VERSION", "0"),
        ("LOG_FORMAT", ""),
    ],
)
def test_a_value_of_the_wrong_form_or_out_of_bounds_is_refused(setting: str, value: str) -> None:
    assert mistakes({f"KEYWRIGHT_{setting}": value}).keys() == {f"KEYWRIGHT_{setting}"}


@pytest.mark.parametrize(
    "line", ["listen = 7700", "shutdown_grace = 30", "database_url = 1", "peppers = []"]
)
def test_a_value_of_the_wrong_toml_type_is_refused(toml: Path, line: str) -> None:
    toml.write_text(line)
    assert mistakes({}, toml).keys() == {f"KEYWRIGHT_{line.split(maxsplit=1)[0].upper()}"}


def test_a_current_pepper_that_is_not_there_is_refused() -> None:
    assert "KEYWRIGHT_PEPPERS" in mistakes({"KEYWRIGHT_PEPPER_CURRENT_VERSION": "2"})
    assert "KEYWRIGHT_PEPPERS" in mistakes(
        {"KEYWRIGHT_PEPPER_CURRENT_VERSION": "2", "KEYWRIGHT_PEPPERS": f"1:{PEPPER}"}
    )


def test_a_certificate_without_a_key_and_a_client_ca_without_tls_are_refused() -> None:
    assert mistakes({"KEYWRIGHT_TLS_CERTIFICATE_FILE": "/tls.crt"}).keys() == {
        "KEYWRIGHT_TLS_KEY_FILE"
    }
    assert mistakes({"KEYWRIGHT_TLS_CLIENT_CA_FILE": "/ca.crt"}).keys() == {
        "KEYWRIGHT_TLS_CLIENT_CA_FILE"
    }


@pytest.mark.parametrize(
    ("content", "what_is_wrong"),
    [
        (b"listen = ", "is not a TOML file"),
        (b'listen = "\xff"', "is not a TOML file"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_with_the_mistakes_of_the_environment(
    toml: Path, content: bytes | None, what_is_wrong: str
) -> None:
    if content is not None:
        toml.write_bytes(content)
    found = mistakes({"KEYWRIGHT_CONFIG": str(toml), "KEYWRIGHT_LOG_LEVEL": "loud"})
    assert found[f"{toml}"].startswith(what_is_wrong)
    assert "KEYWRIGHT_LOG_LEVEL" in found


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("KEYWRIGHT_LISTENS", "is not a setting; did you mean KEYWRIGHT_LISTEN?"),
        ("KEYWRIGHT_listen", "is not a setting; did you mean KEYWRIGHT_LISTEN?"),
        ("keywright_log_level", "is not a setting; did you mean KEYWRIGHT_LOG_LEVEL?"),
        ("KEYWRIGHT_LISTEN_PORT", "is not a setting; did you mean KEYWRIGHT_LISTEN?"),
        ("KEYWRIGHT_QQQ", "is not a setting"),
    ],
)
def test_an_unknown_variable_is_a_mistake_with_a_suggestion(name: str, problem: str) -> None:
    assert mistakes({name: "7700"}) == {name: problem}


def test_an_unknown_table_in_the_file_is_a_mistake(toml: Path) -> None:
    toml.write_text('[tls]\ncertificate_file = "/tls.crt"\n')
    assert mistakes({}, toml) == {"tls": "is not a setting"}


def test_variables_of_callers_and_of_kubernetes_are_left_alone() -> None:
    load(
        {
            "KEYWRIGHT_URI": "grpc://127.0.0.1:7700",
            "KEYWRIGHT_API_KEY": "kw_live_x",
            "KEYWRIGHT_CLIENT_CONFIG": "/home/ann/kw.toml",
            "KEYWRIGHT_CONFIG": "",
            "KEYWRIGHT_SERVICE_HOST": "10.0.0.1",
            "KEYWRIGHT_SERVICE_PORT": "7700",
            "KEYWRIGHT_SERVICE_PORT_GRPC": "7700",
            "KEYWRIGHT_PORT": "tcp://10.0.0.1:7700",
            "KEYWRIGHT_PORT_7700_TCP": "tcp://10.0.0.1:7700",
            "KEYWRIGHT_PORT_7700_TCP_ADDR": "10.0.0.1",
            "KEYWRIGHT_CONSOLE_SERVICE_HOST": "10.0.0.2",
            "KEYWRIGHT_CONSOLE_PORT": "tcp://10.0.0.2:7701",
        }
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/keywright",
        "postgresql:///keywright?host=/run/postgresql",
        "postgresql://keywright@%2Frun%2Fpostgresql/keywright",
        "postgresql://u:p%40ss@[::1]:5432,db-2:5433/d?target_session_attrs=primary&sslmode=require",
        "postgres://u:it's:fine!@db/d",
    ],
)
def test_a_postgresql_url_is_taken_as_it_is(url: str) -> None:
    config = load({"KEYWRIGHT_DATABASE_URL": url})
    assert config.database_url is not None
    assert config.database_url.reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@db/d",
        "db.example:5432",
        "postgresql://u:hunter2@x@db/d",
        "postgresql://u:hunter2/x@db/d",
        "postgresql://u:hunter2#x@db/d",
        "postgresql://u:hunter2?x@db/d",
        "postgresql://u:hunter2@db:port/d",
        "postgresql://u:hunter2@db/d?sslmode",
        "postgresql://u:hunter2@db/d\n",
    ],
)
def test_what_is_no_postgresql_url_is_refused_without_printing_it(url: str) -> None:
    (problem,) = mistakes({"KEYWRIGHT_DATABASE_URL": url}).values()
    assert problem.startswith("must be a URL such as postgresql://")
    assert "hunter2" not in problem


def test_no_secret_is_ever_printed(toml: Path) -> None:
    toml.write_text('database_url = "postgresql://u:hunter2@db/d"')
    config = load({"KEYWRIGHT_PEPPERS": f"1:{PEPPER}"}, toml)
    shown = f"{config} {config!r} {config.database_url} {config.peppers!r}"
    assert "hunter2" not in shown
    assert PEPPER not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize("setting", sorted(Config.model_fields))
def test_no_error_prints_what_was_typed_into_any_setting(setting: str) -> None:
    typed = "hunter2-hunter2\0"
    environ = {f"KEYWRIGHT_{setting.upper()}": typed, "KEYWRIGHT_NO_SUCH_SETTING": typed}
    with pytest.raises(ConfigurationError) as refused:
        load(environ)
    error: BaseException | None = refused.value
    while error:
        assert "hunter2" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


def test_a_config_cannot_be_changed_and_takes_no_unknown_setting() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.reflection = False
    with pytest.raises(ValidationError):
        Config(reflexion=False)  # type: ignore[call-arg]


def test_a_database_may_be_filled_in_later() -> None:
    config = Config().model_copy(update={"database_url": Secret("postgresql:///d")})
    config.verify(needs_database_url=True)


def test_serving_without_a_database_says_what_to_set() -> None:
    config = Config()
    config.verify(needs_database_url=False)
    with pytest.raises(ConfigurationError, match=r"KEYWRIGHT_DATABASE_URL .*must be set"):
        config.verify(needs_database_url=True)


@pytest.mark.parametrize("address", ["0.0.0.0:7700", "[::]:7700", "10.1.2.3:7700", "db:7700"])
def test_plain_text_is_refused_where_other_machines_could_connect(address: str) -> None:
    config = load({"KEYWRIGHT_LISTEN": address})
    with pytest.raises(ConfigurationError, match=r"KEYWRIGHT_LISTEN .*KEYWRIGHT_ALLOW_PLAINTEXT"):
        config.verify(needs_database_url=False)
    load({"KEYWRIGHT_LISTEN": address, "KEYWRIGHT_ALLOW_PLAINTEXT": "true"}).verify(
        needs_database_url=False
    )


@pytest.mark.parametrize("address", ["127.0.0.1:7700", "[::1]:7700", "localhost:0", "unix:/tmp/s"])
def test_plain_text_is_fine_on_loopback_and_unix_sockets(address: str) -> None:
    load({"KEYWRIGHT_LISTEN": address}).verify(needs_database_url=False)


def test_verify_reports_every_mistake_at_once(tmp_path: Path) -> None:
    config = load(
        {
            "KEYWRIGHT_LISTEN": f"unix:{tmp_path}/nowhere/grpc.sock",
            "KEYWRIGHT_TLS_CERTIFICATE_FILE": f"{tmp_path}/tls.crt",
            "KEYWRIGHT_TLS_KEY_FILE": f"{tmp_path}/tls.key",
            "KEYWRIGHT_TLS_CLIENT_CA_FILE": f"{tmp_path}/ca.crt",
        }
    )
    with pytest.raises(ConfigurationError) as refused:
        config.verify(needs_database_url=True)
    assert [mistake.where.split()[0] for mistake in refused.value.mistakes] == [
        "KEYWRIGHT_DATABASE_URL",
        "KEYWRIGHT_LISTEN",
        "KEYWRIGHT_TLS_CERTIFICATE_FILE",
        "KEYWRIGHT_TLS_KEY_FILE",
        "KEYWRIGHT_TLS_CLIENT_CA_FILE",
    ]


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0d", timedelta()),
        ("500ms", timedelta(milliseconds=500)),
        ("90s", timedelta(seconds=90)),
        ("1m", timedelta(minutes=1)),
        ("25h", timedelta(hours=25)),
        ("400d", timedelta(days=400)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["1", "1000", "1KiB", "4MiB", "3GiB"])
def test_a_size_is_written_as_it_was_read(text: str) -> None:
    assert format_size(parse_size(text)) == text


def as_documented(setting: str) -> str:
    """How the guide writes a setting's default."""
    if setting == "argon2_threads":
        return "*one per core*"
    match getattr(Config(), setting):
        case None | () | PepperRing() | TrustedKeys():
            return "*none*"
        case bool() as default:
            text = str(default).lower()
        case timedelta() as default:
            unit = next(
                unit
                for unit in ("1d", "1h", "1m", "1s", "1ms")
                if not default % parse_duration(unit)
            )
            text = f"{default // parse_duration(unit)}{unit[1:]}"
        case int() as default if setting.endswith("_bytes"):
            text = format_size(default)
        case default:
            text = str(default)
    return f"`{text}`"


def test_the_guide_lists_every_setting_once_with_its_default() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (.+?) \| .{9,} \|$", GUIDE.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted((each, as_documented(each)) for each in Config.model_fields)


def test_the_guides_example_is_a_valid_file(toml: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.+?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    toml.write_text(example)
    assert str(load({}, toml).listen) == "0.0.0.0:7700"


def test_threads_default_to_the_cores_this_process_may_use() -> None:
    assert Config().argon2_threads == len(os.sched_getaffinity(0))
