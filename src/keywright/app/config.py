"""The server's configuration: read once, frozen, and wrong in all places at once or not at all.

`load` reads `KEYWRIGHT_*` variables and a TOML file and judges what they say; `verify` judges what
only the machine can tell. `docs/guides/configuration.md` explains each setting to operators.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from keywright.app.listen import parse_listen_address, parse_tcp_address
from keywright.app.log import LogFormat, LogLevel
from keywright.app.mistakes import ENVIRONMENT_PREFIX, ConfigurationError, Mistake, variable
from keywright.app.setting_types import (
    OFF_WHEN_EMPTY,
    duration,
    parse_database_url,
    size,
    text,
    whole,
)
from keywright.app.tls import TlsFiles, TlsFilesError
from keywright.domain.secret import Secret
from keywright.domain.token import DEFAULT_BRAND, TokenFormat
from keywright.front import installation, places
from keywright.listening import ListenAddress, TcpAddress, UnixAddress
from keywright.security.audit_signing import AuditKeyError, AuditSigner, TrustedKeys
from keywright.security.hash_pool import DEFAULT_MAX_WAITING
from keywright.security.pepper import PepperRing

CONFIG_FILE_VARIABLE = "KEYWRIGHT_CONFIG"
_NOT_SETTINGS = frozenset(
    {
        CONFIG_FILE_VARIABLE,
        "KEYWRIGHT_URI",
        "KEYWRIGHT_API_KEY",
        "KEYWRIGHT_CLIENT_CONFIG",
        "KEYWRIGHT_CONSOLE_LISTEN",
        "KEYWRIGHT_CONSOLE_URL",
    }
)
# Kubernetes tells every pod about each service of its namespace in variables of these names, and
# there a service called `keywright` is to be expected (kubernetes.io, "Accessing the Service").
_KUBERNETES_NAME = re.compile(
    r"KEYWRIGHT_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_\w+)?)"
)
_KUBERNETES_PORT = re.compile(r"KEYWRIGHT_(?:\w+_)?PORT=(?:tcp|udp|sctp)://.*")

# As browsers write it (html.spec.whatwg.org, "ASCII serialization of an origin").
_ORIGIN = re.compile(r"https?://(?:[0-9a-z._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")

_DatabaseUrl = Annotated[Secret[str], text(parse_database_url, Secret)]
_Listen = Annotated[ListenAddress, text(parse_listen_address, (TcpAddress, UnixAddress))]
_TcpListen = Annotated[TcpAddress, text(parse_tcp_address, TcpAddress)]
_File = Annotated[Path | None, OFF_WHEN_EMPTY]


def _provider_url(value: str) -> str:
    try:
        url = urlsplit(value)
    except ValueError:  # says what it was given
        url = urlsplit("")
    local = url.hostname in {"127.0.0.1", "::1", "localhost"}
    if not url.hostname or url.scheme not in {"https", *(["http"] if local else [])}:
        raise ValueError("must be a URL that begins with https://")
    return value


_ProviderUrl = Annotated[Annotated[str, AfterValidator(_provider_url)] | None, OFF_WHEN_EMPTY]


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(each.strip() for each in text.split(",") if each.strip())
    if not all(_ORIGIN.fullmatch(each) for each in origins):
        raise ValueError(
            "must be origins with commas between them, each a scheme, a host in lower case and a"
            " port if it has one, and nothing more, as in https://console.example,"
            "http://localhost:8080"
        )
    return origins


def _brand(value: str) -> str:
    return TokenFormat(value).brand


def _pepper_ring(value: object, info: ValidationInfo) -> PepperRing:
    current = info.data.get("pepper_current_version")
    if isinstance(value, str):
        return PepperRing.parse(value, current)
    if not isinstance(value, PepperRing):
        raise ValueError("must be text such as 1:<base64>,2:<base64>")  # noqa: TRY004  see text()
    if current is not None and current != value.current:
        raise ValueError(
            f"must contain version {current}, which {variable('pepper_current_version')} names"
        )
    return value


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # above it is one that we may not enter
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class Config(BaseModel):
    """All settings. A setting that depends on another stands after it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    database_url: Annotated[_DatabaseUrl | None, OFF_WHEN_EMPTY] = None
    database_pool_size: Annotated[int, whole(1, 1000)] = 10
    database_connect_timeout: Annotated[timedelta, duration("100ms", "10m")] = timedelta(seconds=5)
    database_statement_timeout: Annotated[timedelta, duration("100ms", "10m")] = timedelta(
        seconds=10
    )

    database_direct_url: Annotated[_DatabaseUrl | None, OFF_WHEN_EMPTY] = None

    lease_length: Annotated[
        Annotated[timedelta, duration("100ms", "60s")] | None, OFF_WHEN_EMPTY
    ] = None
    cache_bytes: Annotated[int, size(16 * 2**20, 2**36)] = 64 * 2**20

    listen: _Listen = TcpAddress("127.0.0.1", 7700)
    metrics_listen: Annotated[_TcpListen | None, OFF_WHEN_EMPTY] = TcpAddress("127.0.0.1", 7702)
    workers: Annotated[int, whole(1, 256)] = 1
    front: Literal["grpc", "envoy"] = "grpc"
    browser_origins: Annotated[tuple[str, ...], text(_origins, tuple)] = ()
    allow_plaintext: bool = False
    tls_certificate_file: _File = None
    tls_key_file: _File = None
    tls_client_ca_file: _File = None
    authenticate_callers: Literal["credentialed", "mtls", "any"] = "credentialed"

    token_brand: Annotated[str, AfterValidator(_brand)] = DEFAULT_BRAND
    pepper_current_version: Annotated[
        Annotated[int, whole(1, 999_999_999)] | None, OFF_WHEN_EMPTY
    ] = None
    peppers: Annotated[PepperRing, PlainValidator(_pepper_ring)] = Field(default_factory=PepperRing)
    argon2_threads: Annotated[int, whole(1, 10_000)] = Field(default_factory=_cores)
    failures_per_address: Annotated[int, whole(1, 1_000_000)] = 10
    failures_per_caller: Annotated[int, whole(1, 1_000_000)] = 100
    argon2_max_waiting: Annotated[int, whole(1, 1_000_000)] = DEFAULT_MAX_WAITING

    reflection: bool = True
    max_request_bytes: Annotated[int, size(2**12, 2**28)] = 4 * 2**20
    max_response_bytes: Annotated[int, size(2**16, 2**28)] = 4 * 2**20
    max_metadata_bytes: Annotated[int, size(2**12, 2**20)] = 16 * 2**10
    max_connections: Annotated[int, whole(16, 1_000_000)] = 10_000
    max_memory_bytes: Annotated[int, size(2**28, 2**40)] = 2**30
    max_concurrent_streams: Annotated[int, whole(1, 1_000_000)] = 100
    max_deadline: Annotated[timedelta, duration("100ms", "1h")] = timedelta(seconds=60)
    default_deadline: Annotated[timedelta, duration("100ms", "1h")] = timedelta(seconds=10)
    shutdown_grace: Annotated[timedelta, duration("0s", "1h")] = timedelta(seconds=20)
    keepalive_time: Annotated[timedelta, duration("1s", "2h")] = timedelta(seconds=60)
    keepalive_timeout: Annotated[timedelta, duration("1s", "10m")] = timedelta(seconds=20)
    handshake_timeout: Annotated[timedelta, duration("1s", "10m")] = timedelta(seconds=10)
    max_connection_idle: Annotated[timedelta, duration("1s", "24h")] = timedelta(minutes=2)
    max_connection_age: Annotated[timedelta, duration("1s", "24h")] = timedelta(minutes=5)
    max_connection_age_grace: Annotated[timedelta, duration("1s", "24h")] = timedelta(seconds=30)

    audit_signing_key_file: _File = None
    audit_public_keys: Annotated[TrustedKeys, text(TrustedKeys.parse, TrustedKeys)] = TrustedKeys()
    audit_retention: Annotated[
        Annotated[timedelta, duration("31d", "36500d")] | None, OFF_WHEN_EMPTY
    ] = None

    session_idle_timeout: Annotated[timedelta, duration("5m", "400d")] = timedelta(hours=1)
    session_lifetime: Annotated[timedelta, duration("5m", "400d")] = timedelta(hours=12)

    oidc_issuer: _ProviderUrl = None
    oidc_client_id: Annotated[str | None, OFF_WHEN_EMPTY] = None
    oidc_jwks_url: _ProviderUrl = None

    usage_interval: Annotated[timedelta, duration("1s", "1m")] = timedelta(minutes=1)
    usage_retention: Annotated[timedelta, duration("31d", "36500d")] = timedelta(days=400)

    access_log: Literal["management", "all"] = "management"
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"

    @field_validator("workers")
    @classmethod
    def _can_share_the_port(cls, workers: int, info: ValidationInfo) -> int:
        if workers > 1 and isinstance(info.data.get("listen"), UnixAddress):
            raise ValueError(
                f"must be 1 as long as {variable('listen')} is a UNIX socket, which one process "
                "can listen on and no more"
            )
        return workers

    @field_validator("browser_origins")
    @classmethod
    def _can_be_let_in(cls, origins: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if origins and info.data.get("front", "envoy") != "envoy":
            raise ValueError(
                f"needs {variable('front')}=envoy, because browsers cannot speak gRPC itself"
            )
        return origins

    @field_validator("tls_key_file")
    @classmethod
    def _has_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("tls_certificate_file", key)
        if certificate and not key:
            raise ValueError(f"must be set, because {variable('tls_certificate_file')} is")
        if key and not certificate:
            raise ValueError(f"needs {variable('tls_certificate_file')} beside it")
        return key

    @field_validator("tls_client_ca_file")
    @classmethod
    def _has_tls(cls, client_ca: Path | None, info: ValidationInfo) -> Path | None:
        if client_ca and info.data.get("tls_certificate_file", client_ca) is None:
            raise ValueError(
                f"needs {variable('tls_certificate_file')} and {variable('tls_key_file')} beside it"
            )
        return client_ca

    @field_validator("oidc_client_id", "oidc_jwks_url")
    @classmethod
    def _goes_with_a_provider(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is None) != (info.data.get("oidc_issuer", value) is None):
            both = "must be set, because" if value is None else "means nothing without"
            raise ValueError(f"{both} {variable('oidc_issuer')}")
        return value

    @field_validator("authenticate_callers")
    @classmethod
    def _can_authenticate(cls, how: str, info: ValidationInfo) -> str:
        if how == "mtls" and info.data.get("tls_client_ca_file", how) is None:
            raise ValueError(f"may be mtls only if {variable('tls_client_ca_file')} is set")
        return how

    @field_validator("default_deadline")
    @classmethod
    def _is_within_the_longest(cls, default: timedelta, info: ValidationInfo) -> timedelta:
        if default > info.data.get("max_deadline", default):
            raise ValueError(f"must not be longer than {variable('max_deadline')}")
        return default

    @property
    def tls(self) -> TlsFiles | None:
        """The files to serve TLS from; None means plain text."""
        if self.tls_certificate_file is None or self.tls_key_file is None:
            return None
        return TlsFiles(self.tls_certificate_file, self.tls_key_file, self.tls_client_ca_file)

    @property
    def certifies_clients(self) -> bool:
        """Whether nobody can connect without a client certificate."""
        return self.tls is not None and self.tls.client_ca is not None

    def audit_signer(self) -> AuditSigner | None:
        """What signs the audit trail; None: the key that the database keeps.

        Raises:
            AuditKeyError: the file cannot be read, or has no such key.
        """
        file = self.audit_signing_key_file
        return None if file is None else AuditSigner.read(file)

    def verify(self, *, needs_database_url: bool) -> None:
        """Judge what only the machine can tell; to be called before anything is started.

        Args:
            needs_database_url: whether the command cannot do without; `dev` starts its own.

        Raises:
            ConfigurationError: with every mistake at once.
        """
        mistakes = []
        if needs_database_url and self.database_url is None:
            mistakes.append(Mistake.of("database_url", _NO_DATABASE))
        if self.tls is None and not (self.allow_plaintext or self.listen.stays_here):
            mistakes.append(Mistake.of("listen", _PLAINTEXT))
        if isinstance(self.listen, UnixAddress) and not _is_directory(self.listen.path.parent):
            mistakes.append(Mistake.of("listen", "must name a socket in a directory that exists"))
        try:
            if self.tls:
                self.tls.read()
        except TlsFilesError as error:
            mistakes += [
                Mistake.of(f"tls_{file}_file", what) for file, what in error.problems.items()
            ]
        if self.front == "envoy":
            mistakes += self._front_mistakes()
        try:
            self.audit_signer()
        except AuditKeyError as error:
            mistakes.append(Mistake.of("audit_signing_key_file", str(error)))
        if mistakes:
            raise ConfigurationError(mistakes)

    def _front_mistakes(self) -> Iterator[Mistake]:
        try:
            installation.find()
        except installation.NoEnvoyError as error:
            yield Mistake.of("front", f"envoy {error}")
        if not places.fit():
            yield Mistake.of("front", f"envoy {places.TOO_LONG}")


_NO_DATABASE = (
    "must be set to a PostgreSQL URL, such as postgresql://user:password@host:5432/database"
    " (`keywright dev` brings a database of its own)"
)
_PLAINTEXT = (
    f"must be a loopback address or a UNIX socket as long as there is no TLS, because tokens would"
    f" cross the network in plain text: set {variable('tls_certificate_file')} and"
    f" {variable('tls_key_file')}, or, if TLS ends at a proxy before this server,"
    f" {variable('allow_plaintext')}=true"
)


def config_file_of(environ: Mapping[str, str], config_file: Path | None) -> Path | None:
    """The TOML file: the one that is given, or that `KEYWRIGHT_CONFIG` names, if any."""
    if config_file is None and environ.get(CONFIG_FILE_VARIABLE):
        return Path(environ[CONFIG_FILE_VARIABLE])
    return config_file


def load(
    environ: Mapping[str, str], config_file: Path | None = None, content: str | None = None
) -> Config:
    """The configuration that the environment and a TOML file say; the environment wins.

    Args:
        environ: the process's environment.
        config_file: the TOML file; if None, the one that `KEYWRIGHT_CONFIG` names, if any.
        content: what the file says, if it was read already.

    Raises:
        ConfigurationError: with every mistake at once; it contains no value that was given.
    """
    config_file = config_file_of(environ, config_file)
    mistakes = list(_unknown_variables(environ))
    given: dict[str, Any] = {}
    try:
        if config_file:
            given = tomllib.loads(
                config_file.read_text(encoding="utf-8") if content is None else content
            )
    except OSError as error:
        mistakes.append(Mistake(str(config_file), f"cannot be read: {error.strerror}"))
    except ValueError as error:  # not TOML, or not UTF-8
        mistakes.append(Mistake(str(config_file), f"is not a TOML file: {error}"))
    for key in sorted(given.keys() - Config.model_fields.keys()):
        del given[key]
        mistakes.append(_not_a_setting(f"{key} (in {config_file})", key, str))
    for setting in Config.model_fields:
        if (name := variable(setting)) in environ:
            given[setting] = environ[name]
    try:
        config = Config(**given)
    except ValidationError as error:
        mistakes += [Mistake.of(str(each["loc"][0]), _problem(each)) for each in error.errors()]
    if mistakes:
        raise ConfigurationError(mistakes)
    return config


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Mistake]:
    known = {variable(setting) for setting in Config.model_fields} | _NOT_SETTINGS
    for name in sorted(environ.keys() - known):
        if not name.upper().startswith(ENVIRONMENT_PREFIX):
            continue
        if _KUBERNETES_NAME.fullmatch(name) or _KUBERNETES_PORT.match(f"{name}={environ[name]}"):
            continue
        yield _not_a_setting(name, name[len(ENVIRONMENT_PREFIX) :], variable)


def _not_a_setting(where: str, name: str, spell: Callable[[str], str]) -> Mistake:
    close = difflib.get_close_matches(name.lower(), Config.model_fields, n=1)
    hint = f"; did you mean {spell(close[0])}?" if close else ""
    return Mistake(where, f"is not a setting{hint}")


def _problem(error: ErrorDetails) -> str:
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "literal_error":
            return f"must be {error['ctx']['expected']}"
        case _:
            return f"cannot be used: {error['msg']}"
