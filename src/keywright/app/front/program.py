"""What the supervisor starts as a front: Envoy, with its configuration in a private directory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from keywright.app import descriptors
from keywright.app.config import Config
from keywright.app.front import certificates, contract, envoy
from keywright.app.listen import ListenError, in_use
from keywright.app.mistakes import ConfigurationError, Mistake
from keywright.app.workers.port import resolved
from keywright.app.workers.process import Program
from keywright.front import installation, places
from keywright.front.envoy import Inside, written
from keywright.front.installation import Installation
from keywright.front.messages import Message
from keywright.front.places import Places
from keywright.front.program import STOP_SIGNALS, command, environ, refusal
from keywright.listening import ListenAddress, TcpAddress

APPLICATION = "keywright.app.front.application:app"


@contextmanager
def front(
    config: Config, listen: ListenAddress, application: str = APPLICATION
) -> Iterator[Program]:
    """What is started, and its directory (0700) as long as the block runs."""
    found = installation.find()
    descriptors.connections(config)  # raises the limit, which Envoy inherits
    with places.private() as ours:
        inside = Inside(found.module, application)
        _write(configuration(config, listen, inside, ours), ours)
        yield Program(
            _command(config, found, ours),
            environ=environ(found.libpython),
            # Where nobody else can put a module: pyvoy looks for them where it is started.
            directory=ours.directory,
            blocked=STOP_SIGNALS,
        )


def shown(config: Config) -> Mapping[str, object]:
    """What would be run: the command, and what is in the files that it is given."""
    found, ours = installation.find(), places.shown()
    inside = Inside(found.module, APPLICATION)
    files = configuration(config, config.listen, inside, ours)
    return {
        "command": _command(config, found, ours),
        "files": {str(path): message for path, message in files.items()},
    }


def check(config: Config) -> None:
    """Have Envoy judge its configuration, with all but Python in it.

    Raises:
        ConfigurationError: it refuses; with its words.
        ListenError: there is no room for what it is started with.
    """
    found = installation.find()
    try:
        with places.private() as ours:
            _write(configuration(config, config.listen, None, ours), ours)
            words = refusal(found.envoy, ours)
    except OSError as error:
        raise ListenError(f"envoy needs a directory for temporary files: {error}") from error
    if words:
        raise ConfigurationError([_mistake(config, words)])


def configuration(
    config: Config, listen: ListenAddress, inside: Inside | None, ours: Places
) -> Mapping[Path, Message]:
    """What is in each file; without anything `inside` for Envoy to judge.

    Raises:
        ListenError: the name to listen on is none of this machine.
    """
    try:
        addresses = _addresses(listen)
    except OSError as error:
        raise in_use(listen) from error
    files = {ours.bootstrap: envoy.bootstrap(config, addresses, inside, ours)}
    if config.tls:
        files |= certificates.secrets(config.tls, ours)
    return files


def _write(files: Mapping[Path, Message], ours: Places) -> None:
    ours.renewals.mkdir()
    for path, message in files.items():
        path.write_text(written(message), encoding="utf-8")
    ours.descriptors.write_bytes(contract.descriptor_set())


def _mistake(config: Config, words: str) -> Mistake:
    """Whose mistake it is, as far as Envoy's words name a file."""
    for setting in ("tls_certificate_file", "tls_key_file", "tls_client_ca_file"):
        path = getattr(config, setting)
        if path is not None and str(path) in words:
            return Mistake.of(setting, f"is refused by Envoy: {words}")
    return Mistake.of("front", f"envoy refuses its configuration: {words}")


def _command(config: Config, found: Installation, ours: Places) -> Sequence[str]:
    return command(found.envoy, ours, json_lines=config.log_format == "json")


def _addresses(listen: ListenAddress) -> list[ListenAddress]:
    """As Envoy takes them, which does not look up names."""
    if isinstance(listen, TcpAddress):
        return [TcpAddress(host, listen.port) for _, host in resolved(listen)]
    return [listen]
