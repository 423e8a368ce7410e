"""What all commands share: options, the client, and how errors end."""

import errno
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from keywright.cli.exits import ExitCode, exit_code
from keywright.cli.output import Output, OutputFormat
from keywright.sdk.connection.credentials import Secret, read_api_key
from keywright.sdk.errors import KeywrightError

if TYPE_CHECKING:
    from keywright.sdk import Client
    from keywright.sdk.calls.load import Load

Parameters = ParamSpec("Parameters")

_PANEL = "Options of every command"


def shared_options(
    ctx: typer.Context,
    uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="The server: 127.0.0.1:7700, grpcs://host:port (TLS), unix:/path. Else "
            "KEYWRIGHT_URI, else the configuration file's, else 127.0.0.1:7700.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    output: Annotated[
        OutputFormat | None,
        typer.Option(
            "--output", "-o", help="For people (the default) or programs.", rich_help_panel=_PANEL
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file with the key to call with. Else KEYWRIGHT_API_KEY, else the "
            "configuration file's.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Another workspace than yours.", rich_help_panel=_PANEL),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM: who may have signed the server's certificate.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    certificate_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM: your own certificate, where the server asks for one.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM: its private key.", rich_help_panel=_PANEL),
    ] = None,
    allow_plaintext: Annotated[
        bool | None,
        typer.Option(
            "--allow-plaintext",
            help="Send the key over the network without TLS.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
) -> None:
    """API keys as a service: create, list and revoke keys, and ask who presents one.

    Example: export KEYWRIGHT_API_KEY=$(cat admin.token); keywright whoami
    """


_SHARED = inspect.signature(shared_options).parameters


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command."""

    ctx: typer.Context

    @property
    def out(self) -> Output:
        """Where results go."""
        return Output(OutputFormat(self._option("output") or OutputFormat.TABLE))

    def client(self, *, anonymous: bool = False) -> "Client":
        """A client as the options and the environment say; `anonymous`: without a key."""
        from keywright.sdk import Client  # noqa: PLC0415  imports gRPC

        return Client(
            self._option("uri"),
            None if anonymous else self._api_key(),
            anonymous=anonymous,
            workspace=self._option("workspace"),
            ca_file=self._file("ca_file"),
            certificate_file=self._file("certificate_file"),
            key_file=self._file("key_file"),
            allow_plaintext=bool(self._option("allow_plaintext")),
        )

    def load(self) -> "Load":
        """Load for the server, as the options and the environment say."""
        from keywright.sdk.calls.load import Load  # noqa: PLC0415  imports gRPC

        return Load(
            self._option("uri"),
            self._api_key(),
            ca_file=self._file("ca_file"),
            certificate_file=self._file("certificate_file"),
            key_file=self._file("key_file"),
            allow_plaintext=bool(self._option("allow_plaintext")),
        )

    def _api_key(self) -> Secret | None:
        file = self._file("api_key_file")
        return None if file is None else read_api_key(file)

    def _file(self, name: str) -> Path | None:
        value = self._option(name)
        return None if value is None else Path(value)

    def _option(self, name: str) -> Any:
        """A shared option, as text or converted: as given after the command, else before it."""
        own = self.ctx.params.get(name)
        return self.ctx.find_root().params.get(name) if own is None else own


def command(
    function: Callable[Concatenate[Session, Parameters], None],
) -> Callable[..., None]:
    """Make a function a command: it gets a session, and the shared options besides its own.

    A parameter whose type is a dataclass stands for the options that are its fields.
    """
    own = list(inspect.signature(function).parameters.values())[1:]

    @wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        session = Session(ctx)
        with _told(session.out):
            function(session, **{each.name: _argument(each, arguments) for each in own})  # type: ignore[call-arg]

    options = [option for each in own for option in _options(each)]
    parameters = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*options, *_SHARED.values())
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    if not is_dataclass(parameter.annotation):
        return [parameter]
    return [
        parameter.replace(name=each.name, default=each.default, annotation=each.type)
        for each in fields(parameter.annotation)
    ]


def _argument(parameter: inspect.Parameter, arguments: dict[str, Any]) -> Any:
    group: Any = parameter.annotation
    if not is_dataclass(group):
        return arguments[parameter.name]
    return group(**{each.name: arguments[each.name] for each in fields(group)})  # type: ignore[operator]


@contextmanager
def _told(out: Output) -> Iterator[None]:
    """Tell what goes wrong in a line, and end with its code."""
    try:
        yield
    except KeywrightError as error:
        out.error(error)
        raise typer.Exit(exit_code(error)) from None
    except UnicodeEncodeError:
        raise typer.BadParameter("what was given is not text in UTF-8") from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever reads has seen enough: typer ends quietly
            raise
        typer.echo(f"error: the result could not be written: {error.strerror}", err=True)
        raise typer.Exit(ExitCode.INTERNAL) from None
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(ExitCode.INTERRUPTED) from None
