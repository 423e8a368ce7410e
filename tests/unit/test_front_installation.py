"""What is told where there can be no Envoy in front; nothing of it is started."""

import sys
from collections.abc import Iterator

import pytest

from keywright.app.config import Config
from keywright.app.mistakes import ConfigurationError
from keywright.front import installation


@pytest.fixture(autouse=True)
def _looked_for_anew() -> Iterator[None]:
    installation.find.cache_clear()
    yield
    installation.find.cache_clear()


def told() -> str:
    """What an operator is told who wants Envoy in front."""
    with pytest.raises(ConfigurationError) as refused:
        Config(front="envoy").verify(needs_database_url=False)
    return str(refused.value)


def test_the_parts_are_found_where_they_are_installed() -> None:
    found = installation.find()
    assert found.envoy.exists()
    assert found.module.exists()
    assert f"libpython{sys.version_info.major}.{sys.version_info.minor}" in found.libpython.name


@pytest.mark.parametrize("package", ["envoy", "find_libpython", "pyvoy"])
def test_a_package_that_is_missing_is_told_with_how_to_install_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    said = told()
    assert "KEYWRIGHT_FRONT (in TOML: front): envoy needs " in said
    assert "pip install 'keywright[front]'" in said


def test_a_python_without_a_shared_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    assert "needs Python as a shared library" in told()


def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "envoy is for Linux only" in told()


def test_who_has_grpc_in_front_needs_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    Config().verify(needs_database_url=False)
