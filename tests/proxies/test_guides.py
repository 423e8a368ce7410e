"""Each guide, by copy and paste: its commands in its order, on other ports."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.database import Cluster
from tests.support.proxies import DEPLOY, PACKAGES, PROXIES, ROOT, configure, free_port, program
from tests.support.service import running, service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_DEFAULTS = ("8000", "8080", "7710", "7711")
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def guide(name: str) -> str:
    return (ROOT / "docs" / "guides" / f"sidecar-{name}.md").read_text()


@pytest.mark.parametrize("name", PROXIES)
async def test_a_guides_commands_do_what_it_says(
    name: str, cluster: Cluster, tmp_path: Path
) -> None:
    ports = {port: free_port() for port in _DEFAULTS}
    configure(name, tmp_path, ports)
    config = tmp_path / "deploy" / name / "sidecar.toml"
    listen = f'[listen]\nhttp = "127.0.0.1:{ports["7710"]}"\nenvoy = "127.0.0.1:{ports["7711"]}"\n'
    config.write_text(f"{config.read_text()}\n{listen}")
    shutil.copy(DEPLOY / "echo.py", tmp_path / "deploy")
    script = "set -eu\n" + "\n".join(_COMMANDS.findall(guide(name)))
    for port, instead in ports.items():
        script = re.sub(rf"\b{port}\b", instead, script)
    places = [program(name).parent, ROOT / ".venv" / "bin"]
    async with service(await cluster.migrated()) as hub:
        own = {
            **os.environ,
            "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
            "KEYWRIGHT_URI": hub.uri,
            "KEYWRIGHT_API_KEY": hub.admin_token,
        }
        async with running(["bash", "-c", script], own, tmp_path) as bash:
            await bash.ended()
    assert bash.process.returncode == 0, bash.raw[-20:]
    told = "\n".join(bash.printed)
    assert told.lower().count("x-keywright-user: workspaces/default/users/ann") == 2
    assert told.lower().count("x-keywright-permissions: projects.read") == 2
    assert "root" not in told
    assert "kw_live_" not in told
    statuses = re.findall(r"^HTTP/1.1 (\d+)", told, re.MULTILINE)
    assert statuses == ["401", "403", "401"]
    for reason in ("CREDENTIAL_MISSING", "PERMISSION_MISSING", "KEY_REVOKED"):
        assert reason in told


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_guide_installs_the_version_that_was_tried(name: str) -> None:
    assert f"pip install {PACKAGES[name]} " in guide(name)
