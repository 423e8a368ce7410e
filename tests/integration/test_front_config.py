"""`keywright front config`: what would be run, judged by Envoy, and no secret in it."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.test_tls import OURS, builder
from tests.support.database import Cluster
from tests.support.service import running

PEPPER = "h1K0o9v1cJm0jYxG0m6aF4hZ1m6Jm1w8r5QnTq9yXyA="
PASSWORD = "not-to-be-told"
CONFIGURATION = 78


async def keywright(*command: str, **settings: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command; settings in lower case, TMPDIR as it is."""
    environ = {name: each for name, each in os.environ.items() if not name.startswith("KEYWRIGHT_")}
    for name, each in settings.items():
        environ[name if name.isupper() else f"KEYWRIGHT_{name.upper()}"] = each
    async with running([sys.executable, "-m", "keywright", *command], environ) as process:
        await process.ended()
    status = process.process.returncode
    assert status is not None
    return status, "\n".join(process.printed), "\n".join(process.raw)


async def shown(**settings: str) -> Mapping[str, Any]:
    status, printed, told = await keywright("front", "config", **settings)
    assert status == 0, told
    return json.loads(printed)


@pytest.fixture(name="tls")
def _tls(tmp_path: Path) -> dict[str, str]:
    certificate, key = OURS.issue("keywright")
    return written(tmp_path, certificate, key)


def written(place: Path, certificate: bytes, key: bytes) -> dict[str, str]:
    """Settings that name files with these."""
    for name, pem in (("tls.crt", certificate), ("tls.key", key), ("clients.crt", OURS.pem)):
        (place / name).write_bytes(pem)
    return {
        "tls_certificate_file": str(place / "tls.crt"),
        "tls_key_file": str(place / "tls.key"),
        "tls_client_ca_file": str(place / "clients.crt"),
    }


def manager(files: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Envoy does with a connection."""
    (bootstrap,) = (each for path, each in files.items() if path.endswith("envoy.json"))
    chain = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


async def test_what_would_be_run_is_shown_without_a_secret(tls: dict[str, str]) -> None:
    found = await shown(
        database_url=f"postgresql://keywright:{PASSWORD}@db.example/keywright",
        peppers=f"1:{PEPPER}",
        **tls,
    )
    told = json.dumps(found)
    key = Path(tls["tls_key_file"]).read_text()
    for secret in (PASSWORD, PEPPER, *key.splitlines()[1:-1]):
        assert secret not in told
    assert tls["tls_key_file"] in told
    assert found["command"][1] == "--config-path"
    assert found["command"][2] in found["files"]


async def test_a_connection_may_do_what_the_settings_say() -> None:
    found = await shown(
        max_concurrent_streams="7",
        max_connection_age="3m",
        max_connection_age_grace="7s",
        max_connection_idle="90s",
        keepalive_time="11s",
        keepalive_timeout="12s",
        handshake_timeout="13s",
        max_connections="77",
        max_metadata_bytes="8KiB",
        max_memory_bytes="300MiB",
        cache_bytes="50MiB",
    )
    connection = manager(found["files"])
    assert connection["http2_protocol_options"]["max_concurrent_streams"] == 7
    assert connection["common_http_protocol_options"] == {
        "idle_timeout": "90.000s",
        "max_connection_duration": "180.000s",
        "max_stream_duration": "223.000s",
        "max_headers_count": 512,
    }
    assert connection["http2_protocol_options"]["connection_keepalive"] == {
        "interval": "11.000s",
        "timeout": "12.000s",
    }
    assert connection["request_headers_timeout"] == "13.000s"
    assert '"max_active_downstream_connections": 77' in json.dumps(found)
    assert f'"max_heap_size_bytes": {400 * 2**20}' in json.dumps(found)
    assert "access_log" not in connection


async def test_every_kind_of_configuration_is_accepted_by_envoy(tls: dict[str, str]) -> None:
    for settings in (
        {},
        {"listen": "localhost:0", "log_format": "console", "browser_origins": "https://a.example"},
        {"listen": "unix:/tmp/keywright-front.sock"},
        {"listen": "[::1]:7700", "workers": "4", "authenticate_callers": "mtls", **tls},
        {"max_metadata_bytes": "1MiB", "max_request_bytes": "256MiB", "keepalive_time": "2h"},
        {"max_metadata_bytes": "4KiB", "max_request_bytes": "4KiB", "handshake_timeout": "1s"},
    ):
        assert (await shown(**settings))["files"]


async def test_files_that_envoy_refuses_are_told_at_the_start_with_its_words(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Such as a key that is short, and no mistake anywhere else."""
    key = rsa.generate_private_key(65537, 1024)
    subject = x509.Name([])
    certificate = builder(subject, subject, key).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files = written(tmp_path, certificate.public_bytes(serialization.Encoding.PEM), pem)
    dsn = await cluster.migrated()
    for command in (("front", "config"), ("serve", "--front", "envoy")):
        status, printed, told = await keywright(*command, database_url=dsn, **files)
        assert (status, printed) == (CONFIGURATION, "")
        assert "KEYWRIGHT_TLS_CERTIFICATE_FILE" in told
        assert "2048" in told


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"tls_certificate_file": "/no/such.crt", "tls_key_file": "/no/such.key"},
            "cannot be read",
        ),
        ({"TMPDIR": "long"}, "TMPDIR"),
        ({"browser_origins": "https://a.example/"}, "KEYWRIGHT_BROWSER_ORIGINS"),
        ({"browser_origins": "*"}, "KEYWRIGHT_BROWSER_ORIGINS"),
        ({"listen": "192.0.2.1:7700", "allow_plaintext": "true"}, "KEYWRIGHT_LISTEN"),
    ],
)
async def test_a_mistake_is_told_with_its_setting(
    settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    if "TMPDIR" in settings:
        long = tmp_path / ("x" * 90)
        long.mkdir()
        settings = {"TMPDIR": str(long)}
    status, printed, told = await keywright("front", "config", **settings)
    assert status != 0
    assert printed == ""
    assert words in told
    assert "Traceback" not in told


async def test_pages_need_the_front_that_understands_them() -> None:
    status, _, told = await keywright(
        "serve", browser_origins="https://a.example", database_url="postgresql://db.example/k"
    )
    assert status == CONFIGURATION
    assert "KEYWRIGHT_FRONT=envoy" in told
