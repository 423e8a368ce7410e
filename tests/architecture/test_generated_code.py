"""The committed code is what the protos say, and can be imported by anybody."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATE = ROOT / "protos" / "generate.py"
GENERATED = ROOT / "src" / "keywright" / "v1"
ENVOY = Path("src", "keywright", "sidecar", "envoy_api")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=100
    )


def test_the_committed_code_is_what_the_protos_say() -> None:
    checked = run(GENERATE, "--check")
    assert checked.returncode == 0, checked.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the protos and the generated code, in a path with a space."""
    copy = tmp_path / "a checkout"
    shutil.copytree(ROOT / "protos", copy / "protos")
    for package in (Path("src", "keywright", "v1"), ENVOY):
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return copy


def test_a_stale_a_missing_and_a_foreign_file_are_each_named_and_then_mended(
    checkout: Path,
) -> None:
    generated = checkout / "src" / "keywright" / "v1"
    generated.joinpath("key_pb2.py").write_text("# edited by hand\n")
    generated.joinpath("user_pb2.pyi").unlink()
    generated.joinpath("forgotten_pb2.py").write_text("")

    checked = run(checkout / "protos" / "generate.py", "--check")
    assert checked.returncode == 1
    assert checked.stderr.splitlines()[:-1] == [
        "src/keywright/v1/forgotten_pb2.py: not generated from any proto",
        "src/keywright/v1/key_pb2.py: stale",
        "src/keywright/v1/user_pb2.pyi: missing",
    ]

    assert run(checkout / "protos" / "generate.py").returncode == 0
    assert run(checkout / "protos" / "generate.py", "--check").returncode == 0
    assert (generated / "key_pb2.py").read_bytes() == (GENERATED / "key_pb2.py").read_bytes()


def test_a_changed_proto_makes_the_committed_code_stale(checkout: Path) -> None:
    proto = checkout / "protos" / "keywright" / "v1" / "wait_mode.proto"
    proto.write_text(proto.read_text().replace("WAIT_MODE_NONE = 2", "WAIT_MODE_NONE = 3"))
    checked = run(checkout / "protos" / "generate.py", "--check")
    assert checked.returncode == 1
    assert "src/keywright/v1/wait_mode_pb2.py: stale" in checked.stderr


def test_importing_the_generated_code_warns_of_nothing_and_takes_no_top_level_package() -> None:
    imported = run(
        *("-W", "error", "-c"),
        "import pkgutil, sys\n"
        "from importlib import import_module\n"
        "import keywright.v1\n"
        "for module in pkgutil.iter_modules(keywright.v1.__path__, 'keywright.v1.'):\n"
        "    import_module(module.name)\n"
        "assert 'keywright.v1._third_party.buf.validate.validate_pb2' in sys.modules\n"
        "assert 'buf' not in sys.modules\n",
    )
    assert imported.returncode == 0, imported.stderr


def test_envoys_messages_load_beside_another_package_that_brings_the_same_files() -> None:
    imported = run(
        *("-W", "error", "-c"),
        "from google.protobuf import descriptor_pb2, descriptor_pool\n"
        "file = descriptor_pb2.FileDescriptorProto(\n"
        "    name='envoy/service/auth/v3/external_auth.proto', package='envoy.service.auth.v3')\n"
        "file.message_type.add(name='CheckRequest').field.add(\n"
        "    name='other', number=9, type='TYPE_STRING', label='LABEL_OPTIONAL')\n"
        "descriptor_pool.Default().AddSerializedFile(file.SerializeToString())\n"
        "from keywright.sidecar.envoy_api.envoy.service.auth.v3 import external_auth_pb2 as pb\n"
        "assert pb.CheckRequest.DESCRIPTOR.full_name == 'envoy.service.auth.v3.CheckRequest'\n"
        "assert pb.CheckResponse(status={'code': 7}).SerializeToString() == b'\\n\\x02\\x08\\x07'\n"
        "import sys\n"
        "assert 'envoy' not in sys.modules\n",
    )
    assert imported.returncode == 0, imported.stderr
