"""TLS at Envoy: the same files as everywhere, and read again when they change.

Envoy is told which files they are and reads them itself, so that no key is copied ("Secret
discovery service", from a file). It would follow a file that is replaced in its own directory, and
no other way to renew one; so it watches a directory of ours instead, and is told when there is
something new that fits together.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from keywright.app.tls import Renewal, TlsFiles
from keywright.front.messages import Message, file, named, typed
from keywright.front.places import Places

_POLL = timedelta(seconds=1)
_TLS = "extensions.transport_sockets.tls.v3"
_OURS, _CLIENTS = "server", "clients"
_log = structlog.get_logger("keywright.server")


def transport_socket(files: TlsFiles, places: Places) -> Message:
    """extensions.transport_sockets.tls.v3.DownstreamTlsContext: as `TlsFiles` has it for gRPC."""
    there: dict[str, Any] = {
        "tls_certificate_sds_secret_configs": [_secret_config(_OURS, places.certificate)]
    }
    if files.client_ca:
        there["validation_context_sds_secret_config"] = _secret_config(_CLIENTS, places.client_ca)
    return _context(files, there)


def judged_transport_socket(files: TlsFiles) -> Message:
    """The same with the files named in it: Envoy refuses these at once, and others only later."""
    here: dict[str, Any] = {"tls_certificates": [_certificate(files)]}
    if files.client_ca:
        here["validation_context"] = _authority(files.client_ca)
    return _context(files, here)


def secrets(files: TlsFiles, places: Places) -> Mapping[Path, Message]:
    """service.discovery.v3.DiscoveryResponse of each: which files, not what is in them."""
    watched = {"watched_directory": {"path": str(places.renewals)}}
    found = {places.certificate: _secret(_OURS, tls_certificate={**_certificate(files), **watched})}
    if files.client_ca:
        authority = {**_authority(files.client_ca), **watched}
        found[places.client_ca] = _secret(_CLIENTS, validation_context=authority)
    return {path: {"resources": [secret]} for path, secret in found.items()}


def _context(files: TlsFiles, secrets: Message) -> Message:
    return named(
        f"{_TLS}.DownstreamTlsContext",
        "envoy.transport_sockets.tls",
        require_client_certificate=files.client_ca is not None,
        common_tls_context={
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            **secrets,
        },
    )


def _secret_config(name: str, path: Path) -> Message:
    """extensions.transport_sockets.tls.v3.SdsSecretConfig."""
    source = {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def _secret(name: str, **content: Message) -> Message:
    """extensions.transport_sockets.tls.v3.Secret."""
    return typed(f"{_TLS}.Secret", name=name, **content)


def _certificate(files: TlsFiles) -> Message:
    """extensions.transport_sockets.tls.v3.TlsCertificate."""
    return {"certificate_chain": file(files.certificate), "private_key": file(files.key)}


def _authority(client_ca: Path) -> Message:
    """extensions.transport_sockets.tls.v3.CertificateValidationContext."""
    return {"trusted_ca": file(client_ca)}


@dataclass(frozen=True, slots=True)
class Renewing:
    """Has Envoy read the files again when they have changed, and only what fits together."""

    renewal: Renewal
    places: Places

    async def watch(self) -> None:
        """Look now and then, until cancelled."""
        # What has changed since Envoy has read them, and before `renewal` knew them.
        is_new = True
        while True:
            if is_new:
                is_new = not self._told()
            await asyncio.sleep(_POLL.total_seconds())
            if await asyncio.to_thread(self.renewal) is not None:
                is_new = True

    def _told(self) -> bool:
        """Tell Envoy; returns whether that could be done."""
        written = self.places.directory / "renewed"
        try:
            written.touch()
            written.replace(self.places.renewals / written.name)
        except OSError as error:  # no room, say: there may be some in a second
            _log.warning("envoy cannot be told of the renewed tls files", error=str(error))
            return False
        return True
