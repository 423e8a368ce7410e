"""The guides to moving here: their commands are run as they stand there, and old tokens work on."""

import asyncio
import json
import os
import re
import shutil
import sys
import types
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_readme import alike, shell
from tests.support.service import Service, first_admin
from tests.support.unprivileged import CHECKOUT

pytestmark = pytest.mark.slow  # dozens of commands, each a process

GUIDES = CHECKOUT / "docs" / "guides"
FIXTURES = CHECKOUT / "tests" / "fixtures" / "imports"
_numbers = count(1)


def blocks(guide: str, language: str) -> list[str]:
    """The code blocks of a guide in one language."""
    text = (GUIDES / guide).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(guide: str) -> list[tuple[str, str]]:
    """The commands of all `console` blocks of a guide, each with what it says they print."""
    parts = (part for block in blocks(guide, "console") for part in block.split("$ ", 1)[1:])
    commands = (each for part in parts for each in re.split(r"^\$ ", part, flags=re.MULTILINE))
    return [(command, output) for command, _, output in (each.partition("\n") for each in commands)]


@dataclass(frozen=True)
class Reader:
    """Somebody who follows a guide, in a workspace and a directory of their own."""

    service: Service
    workspace: str
    token: str
    place: Path

    async def follows(self, guide: str) -> None:
        """Run its commands, which must print what it shows."""
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")
        }
        environ = {
            **clean,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KEYWRIGHT_URI": self.service.uri,
            "KEYWRIGHT_API_KEY": self.token,
        }
        shown = steps(guide)
        script = "\necho '~~~'\n".join(command for command, _ in shown)
        printed = await shell(script, environ, self.place)
        for (command, expected), told in zip(shown, printed.split("~~~\n"), strict=True):
            output = told.replace(f"/{self.workspace}/", "/default/")
            assert re.fullmatch(with_gaps(expected), alike(output)), (command, output)


@pytest.fixture(name="reader")
async def _reader(service: Service, tmp_path: Path) -> Reader:
    workspace = f"guide-{next(_numbers)}"
    token = await first_admin(service.dsn, workspace)
    return Reader(service, workspace, token, tmp_path)


def with_gaps(expected: str) -> str:
    """What a guide shows, as a pattern: a line of dots stands for anything."""
    pieces = re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)
    return "(?s:.*)".join(re.escape(alike(piece)) for piece in pieces)


def rest_framework() -> dict[str, types.ModuleType]:
    """As much of Django REST framework as the guide's permission names."""
    exceptions = types.ModuleType("rest_framework.exceptions")
    permissions = types.ModuleType("rest_framework.permissions")
    vars(exceptions).update(
        APIException=type("APIException", (Exception,), {}),
        Throttled=type("Throttled", (Exception,), {}),
    )
    vars(permissions)["BasePermission"] = type("BasePermission", (), {})
    package = types.ModuleType("rest_framework")
    vars(package).update(exceptions=exceptions, permissions=permissions)
    return {each.__name__: each for each in (package, exceptions, permissions)}


def permission(monkeypatch: pytest.MonkeyPatch, uri: str, token: str) -> Any:
    """The permission that the guide shows, as its module has it."""
    for name, module in rest_framework().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("KEYWRIGHT_URI", uri)
    monkeypatch.setenv("KEYWRIGHT_API_KEY", token)
    found: dict[str, Any] = {}
    exec(blocks("migrate-from-drf-api-key.md", "python")[0], found)
    return found


def request(token: str) -> Any:
    """A request to Django that presents a token."""
    meta = {"HTTP_AUTHORIZATION": f"Api-Key {token}", "REMOTE_ADDR": "192.0.2.7"}
    return types.SimpleNamespace(META=meta)


async def test_a_django_project_moves_here_by_the_guide_and_old_tokens_work_on(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = json.loads((FIXTURES / "drf/tokens.json").read_text())
    shutil.copy(FIXTURES / "drf/apikeys.json", reader.place)
    (reader.place / "old.token").write_text(tokens["mobile app"] + "\n")
    await reader.follows("migrate-from-drf-api-key.md")

    django = (reader.place / "django.token").read_text().strip()
    module = permission(monkeypatch, reader.service.uri, django)

    def passing() -> dict[str, str]:
        found = {}
        for name, token in tokens.items():
            asked = request(token)
            if module["HasKeywrightKey"]().has_permission(asked, None):
                found[name] = asked.keywright.user.name.rpartition("/")[2]
        return found

    passed = await asyncio.to_thread(passing)
    module["client"].close()
    assert passed.pop("warehouse") == "warehouse"
    assert set(passed) == set(tokens) - {"warehouse", "left the company", "until 2020"}
    assert set(passed.values()) == {"api-clients"}


async def test_the_permission_tells_what_is_not_decided_from_what_is_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = permission(monkeypatch, "127.0.0.1:1", "kw_live_x")
    with pytest.raises(module["NotDecided"]):
        await asyncio.to_thread(module["HasKeywrightKey"]().has_permission, request("x"), None)
    other = types.SimpleNamespace(META={"HTTP_AUTHORIZATION": "Bearer x"})
    assert not module["HasKeywrightKey"]().has_permission(other, None)
    module["client"].close()


async def test_keys_of_better_auth_move_here_by_the_guide(reader: Reader) -> None:
    beside = json.loads((FIXTURES / "better-auth/1.7-tokens.json").read_text())
    shutil.copy(FIXTURES / "better-auth/1.7.json", reader.place / "apikey.json")
    users = [f"{there},{here}@acme.example\n" for here, there in beside["users"].items()]
    (reader.place / "users.csv").write_text("".join(users))
    (reader.place / "old.token").write_text(beside["tokens"]["with a prefix"])
    await reader.follows("migrate-from-better-auth.md")


async def test_a_table_of_ones_own_moves_here_by_the_guide(reader: Reader) -> None:
    (table,) = blocks("import.md", "csv")
    (reader.place / "keys.csv").write_text(table)
    await reader.follows("import.md")
    token = "sk_" + 10 * "Ab3" + "Zz"
    caller = reader.service.as_caller(reader.token)
    assert (await caller.authenticate(token)).user.name.endswith("/users/ci")
