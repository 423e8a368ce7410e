"""Builds of the program with a bug planted, which a guard's test has to notice (STYLE, 21)."""

import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import keywright
from tests.support.database import Cluster
from tests.support.service import Service, service

SOURCE = Path(keywright.__file__).parent


async def _not_asked(_service: Service) -> None:
    raise AssertionError("what this build does is seen by its test itself")


@dataclass(frozen=True)
class Bug:
    """A defect to plant: in `file`, each `guard` becomes `instead`; `scenario` has to notice.

    A build that its test itself looks at has none. `settings` are those of the server that the
    scenario needs.
    """

    file: str
    guard: str
    instead: str
    scenario: Callable[[Service], Awaitable[None]] = _not_asked
    settings: Mapping[str, str] = field(default_factory=dict)


def build(bug: Bug, directory: Path) -> None:
    """A copy of the program in `directory`, with the bug planted."""
    shutil.copytree(SOURCE, directory / "keywright")
    plant(bug, directory)


def plant(bug: Bug, directory: Path) -> None:
    """One more bug in the build in `directory`."""
    file = directory / "keywright" / bug.file
    source = file.read_text()
    assert bug.guard in source, f"{bug.file} has changed: where is its guard now?"
    file.write_text(source.replace(bug.guard, bug.instead))


async def assert_noticed(bug: Bug, cluster: Cluster, directory: Path, **settings: str) -> None:
    """The scenario fails on a build with the bug, which serves all the same."""
    build(bug, directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory))
        async with service(await cluster.migrated(), **{**bug.settings, **settings}) as patched:
            with pytest.raises(AssertionError):
                await bug.scenario(patched)
            if patched.process.process.returncode is None:  # some scenarios end it
                await patched.admin.authenticate(patched.admin_token)  # it serves, but for the bug
