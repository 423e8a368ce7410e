"""From a TOML file to a `Config`: every mistake at once, where it is and what would be right."""

import re
from dataclasses import fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from keywright.console.config import Config, Limits, Network, OpenIdConnect, SignIn
from keywright.listening import ListenAddress
from keywright.programs.addresses import parse_address
from keywright.programs.reading import Table, chosen, read, text_of

_LIMIT_MAX = 100_000_000
_WORKSPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PROVIDER = ("issuer", "client_id", "workspace", "client_secret_file", "label", "scopes")


def read_config(file: Path | None, listen: str | None = None) -> Config:
    """The configuration that a file says; without one everything is as it is by default.

    Args:
        file: the file.
        listen: where to listen, whatever the file says.

    Raises:
        ConfigurationError: `CONFIG_FILE_INVALID`, with every mistake in it.
    """
    if file is None:
        return parse_config("", Path("--listen"), listen)
    return parse_config(text_of(file), file, listen)


def parse_config(text: str, file: Path, listen: str | None = None) -> Config:
    """The configuration that the text of a file says.

    Raises:
        ConfigurationError: as `read_config`.
    """
    return read(text, file, {"listen": listen}, lambda root: _config(root, file))


def _config(root: Table, file: Path) -> Config:
    root.only(["listen", "public_url", "trusted_proxies", "sign_in", "openid_connect", "limits"])
    defaults = Config()
    listen = root.parsed("listen", defaults.listen, parse_address)
    public_url = root.parsed("public_url", "", _origin)
    if not public_url:
        _needs_public_url(root, listen)
    provider = _provider(root, file)
    return Config(
        listen=listen,
        public_url=public_url,
        trusted_proxies=_networks(root),
        sign_in=_sign_in(root, provider),
        openid_connect=provider,
        limits=_limits(root.table("limits")),
    )


def _needs_public_url(root: Table, listen: ListenAddress) -> None:
    if not listen.stays_here or str(listen).startswith("unix:"):
        root.mistake(
            "public_url",
            f"is needed where the console listens on {listen}: the https:// address of the proxy "
            "in front of it, which sessions are bound to",
        )


def _origin(text: str) -> str:
    url = urlsplit(text.rstrip("/"))
    if (
        url.scheme not in {"https", "http"}
        or not url.hostname
        or (url.path, url.query, url.fragment, url.username) != ("", "", "", None)
    ):
        raise ValueError("must be an address without a path, https://keys.example.com")
    if url.scheme == "http" and not is_this_machine(url.hostname):
        raise ValueError("must be https:// beyond this machine: sessions would be readable")
    return f"{url.scheme}://{url.netloc.lower()}"


def is_this_machine(host: str) -> bool:
    """Whether a name of a host stands for this machine, wherever it is looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _networks(root: Table) -> tuple[Network, ...]:
    found: list[Network] = []
    for text in root.texts("trusted_proxies") or ():
        try:
            found.append(ip_network(text))
        except ValueError:
            root.mistake(
                "trusted_proxies",
                f"{text!r}: must be a network like 10.0.0.0/8, without bits beyond its length",
            )
    return tuple(found)


def _sign_in(root: Table, provider: OpenIdConnect | None) -> frozenset[SignIn]:
    given = root.texts("sign_in")
    if given is None:
        return Config().sign_in
    found = set()
    for text in given:
        try:
            found.add(chosen(SignIn, text))
        except ValueError as error:
            root.mistake("sign_in", f"{text!r}: {error}")
    if not given and provider is None:
        root.mistake("sign_in", "nobody could sign in: name link, key or both")
    return frozenset(found)


def _provider(root: Table, file: Path) -> OpenIdConnect | None:
    if "openid_connect" not in root.values:
        return None
    table = root.table("openid_connect")
    table.only(_PROVIDER)
    for name in ("issuer", "client_id", "workspace"):
        if not table.text(name, ""):
            table.mistake(name, "is needed")
    secret = table.text("client_secret_file", "")
    secret_file = file.parent / secret if secret else None
    if secret_file is not None and not secret_file.is_file():
        table.mistake("client_secret_file", f"{secret_file} is no file")
    defaults = OpenIdConnect("", "", "")
    scopes = table.texts("scopes") or defaults.scopes
    if "openid" not in scopes:
        table.mistake("scopes", "need openid among them")
    return OpenIdConnect(
        issuer=table.parsed("issuer", "", _issuer),
        client_id=table.text("client_id", ""),
        workspace=table.parsed("workspace", "", _workspace),
        client_secret_file=secret_file,
        label=table.text("label", defaults.label),
        scopes=scopes,
    )


def _issuer(text: str) -> str:
    url = urlsplit(text)
    is_here = url.scheme == "http" and bool(url.hostname) and is_this_machine(url.hostname or "")
    if text and not (url.scheme == "https" and url.hostname) and not is_here:
        raise ValueError("must be the provider's issuer, https://id.example.com")
    return text


def _workspace(text: str) -> str:
    if text and _WORKSPACE.fullmatch(text) is None:
        raise ValueError("must be the id of a workspace, acme for example")
    return text


def _limits(table: Table) -> Limits:
    names = [each.name for each in fields(Limits)]
    table.only(names)
    defaults = Limits()
    return Limits(
        **{name: table.count(name, getattr(defaults, name), most=_LIMIT_MAX) for name in names}
    )
