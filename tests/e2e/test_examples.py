"""The programs in `examples/` do what they say, as somebody runs them."""

import asyncio
import os
import re
import sys
from dataclasses import dataclass

from tests.support.service import Service
from tests.support.unprivileged import CHECKOUT

EXAMPLES = CHECKOUT / "examples"
TOKEN = re.compile(r"kw_live_\w+")


@dataclass(frozen=True)
class Printed:
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


async def example(service: Service, name: str, *arguments: str, stdin: str = "") -> Printed:
    """Run an example, or a program's text, to its end; a warning is a mistake of it."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")}
    environ = {
        **clean,
        "KEYWRIGHT_URI": service.uri,
        "KEYWRIGHT_API_KEY": service.admin_token,
        "KEYWRIGHT_CLIENT_CONFIG": os.devnull,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-Werror",
        *([EXAMPLES / name] if name.endswith(".py") else ["-c", name]),
        *arguments,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
    assert process.returncode == 0, err.decode()
    return Printed(out.decode(), err.decode())


def test_every_example_is_run_by_a_test() -> None:
    tests = [file.read_text() for file in (CHECKOUT / "tests").rglob("test_*.py")]
    for file in EXAMPLES.glob("*.py"):
        assert any(f'"{file.name}"' in each for each in tests), file.name
        assert f"examples/{file.name}" in file.read_text(), "it says how it is run"


async def test_a_key_is_made_for_two_weeks(service: Service) -> None:
    await service.admin.create_user("ann")
    made = await example(service, "make_a_key.py", "ann@example.com", "nightly")
    principal = await service.admin.authenticate(made.out.strip())
    assert principal.user.email == "ann@example.com"
    assert principal.credential.display_name == "nightly"
    assert principal.credential.name in made.err


async def test_tokens_are_checked_in_their_order(service: Service) -> None:
    ann = (await service.admin.create_user("checked")).name
    token = (await service.admin.create_key(user=ann, scopes=["datasets.read"])).token
    given = f"{service.admin_token}\nnonsense\n{token}\n"
    checked = await example(service, "check_tokens.py", "datasets.write", stdin=given)
    assert checked.lines == [
        "admin@localhost",
        "denied: TOKEN_MALFORMED",
        "denied: PERMISSION_MISSING",
    ]


async def test_unused_keys_are_listed_and_revoked_if_it_is_asked(service: Service) -> None:
    await service.admin.do("EnsureKey", parent="workspaces/default", key_id="idle")
    await service.sql(
        "UPDATE keywright.key SET create_time = now() - interval '99 days' WHERE key_id = 'idle'"
    )
    listed = await example(service, "unused_keys.py", "90")
    assert listed.lines == ["idle  -  admin@localhost  last used: never"]
    assert (await example(service, "unused_keys.py", "90", "--revoke")).lines == listed.lines
    assert (await example(service, "unused_keys.py", "90")).lines == []


async def test_a_rotated_key_has_a_new_token_beside_the_old_one(service: Service) -> None:
    made = await service.admin.create_key(key_id="turned")
    rotated = await example(service, "rotate_a_key.py", "turned")
    for token in (made.token, rotated.out.strip()):
        principal = await service.admin.authenticate(token)
        assert principal.credential.name == made.key.name


async def test_a_project_s_key_is_made_once(service: Service) -> None:
    first = await example(service, "project_key.py", "abc")
    (token,) = TOKEN.findall(first.out)
    principal = await service.admin.authenticate(token, resource="projects/abc")
    assert list(principal.permissions) == ["labels.read"]
    second = await example(service, "project_key.py", "abc")
    assert second.lines == ["labels-of-abc: labels.read"]


async def test_the_programs_in_the_guide_run_as_they_stand_there(service: Service) -> None:
    guide = (CHECKOUT / "docs" / "guides" / "python.md").read_text()
    makes, lists = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    await service.admin.create_user("reader", email="ann@acme.example")
    key_id, token = (await example(service, makes)).out.split()
    assert (await service.admin.authenticate(token)).credential.name.endswith(f"/{key_id}")
    first, *keys = (await example(service, lists)).lines
    assert first == "admin@localhost"
    assert [line.split()[:2] for line in keys] == [[key_id, "nightly"]]
