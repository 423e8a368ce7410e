"""The units in deploy/systemd start the program, and not again where that helps nobody."""

import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest

from tests.e2e.test_server_commands import run

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
async def test_a_unit_whose_configuration_is_not_there_says_so_once(
    path: Path, tmp_path: Path
) -> None:
    unit = RawConfigParser(strict=False)
    unit.read(path)
    program, *argv, config = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(program).name, Path(config).suffix) == ("keywright", ".toml")
    nowhere = str(tmp_path / "nowhere.toml")
    ended = await run(*argv, nowhere)
    assert nowhere in ended.told
    assert ended.status == int(unit["Service"]["RestartPreventExitStatus"]), ended.told
