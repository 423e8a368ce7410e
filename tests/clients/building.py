"""The client programs, made of the contract by each language's own generator.

Go's and Node's are built below `.data`, and again when the contract or the program has changed. Go,
Node and npm are Debian's, or whichever are there (`make system-deps`); all else comes locked.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ["blocking", "asynchronous", "go", "node"]
_PROTOS = ROOT / "protos"
_PROGRAMS = Path(__file__).parent / "programs"
_BUILT = ROOT / ".data" / "clients"
_GO_MODULE = "keywright.dev/gen/go"
# The machine's Go and no other; two compilers at a time; nobody asks whose checkout this is.
_GO = {"GOTOOLCHAIN": "local", "GOMAXPROCS": "2", "GOFLAGS": "-p=2 -buildvcs=false"}


def command(client: str) -> list[str]:
    """How a client is run, which is built if it is not there; the address follows."""
    if client == "go":
        return [str(_built("go", _build_go) / "client")]
    if client == "node":
        return [_tool("node"), str(_built("node", _build_node) / "built" / "main.js")]
    return [sys.executable, "-m", f"tests.clients.programs.{client}"]


def _tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: make system-deps"
    return found


def _built(language: str, build: Callable[[Path], None]) -> Path:
    """The folder of a program, built from what the contract and the program are now."""
    source, folder = _PROGRAMS / language, _BUILT / language
    made_of = _digest([*_PROTOS.rglob("*.proto"), *source.iterdir(), Path(__file__)])
    _BUILT.mkdir(parents=True, exist_ok=True)
    # Whoever else runs tests at the same time waits until it is there, whole.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / "made-of"
        if not stamp.exists() or stamp.read_text() != made_of:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, folder)
            build(folder)
            stamp.write_text(made_of)
    return folder


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(each.read_bytes() for each in sorted(files))).hexdigest()


def _build_go(folder: Path) -> None:
    go = _tool("go")
    _run([go, "build", "-o", "bin/", "tool"], folder)
    generated = (f"--go_out={folder}", f"--go-grpc_out={folder}")
    modules = (f"--go_opt=module={_GO_MODULE}", f"--go-grpc_opt=module={_GO_MODULE}")
    # Its own Go code is not among the modules that Go's proxies have.
    validate = "buf/validate/validate.proto"
    vendored = f"--go_opt=M{validate}={_GO_MODULE}/{Path(validate).parent}"
    _protoc(folder / "bin", *generated, *modules, vendored, *_contract(), validate)
    _run([go, "build", "-o", "client", "."], folder)


def _build_node(folder: Path) -> None:
    npm, node = _tool("npm"), _tool("node")
    _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    programs, generated = folder / "node_modules" / ".bin", folder / "gen"
    generated.mkdir()
    options = "outputServices=grpc-js,esModuleInterop=true,env=node"
    out = (f"--ts_proto_out={generated}", f"--ts_proto_opt={options}")
    _protoc(
        programs, *out, *_contract(), "google/rpc/status.proto", "google/rpc/error_details.proto"
    )
    # Of these there are no files: Python's packages have them compiled.
    compiled = FileDescriptorSet()
    for each in (health_pb2, reflection_pb2):
        each.DESCRIPTOR.CopyToProto(compiled.file.add())
    (folder / "compiled.pb").write_bytes(compiled.SerializeToString())
    names = [each.name for each in compiled.file]
    _protoc(programs, *out, *names, found_in=f"--descriptor_set_in={folder / 'compiled.pb'}")
    _run([node, str(programs / "tsc")], folder)


def _contract() -> list[str]:
    return sorted(str(each.relative_to(_PROTOS)) for each in _PROTOS.glob("keywright/v1/*.proto"))


def _protoc(
    plugins: Path,
    *arguments: str,
    found_in: str = f"--proto_path={_PROTOS}{os.pathsep}{_PROTOS / 'third_party'}",
) -> None:
    """Generate code, by plugins that are in a folder."""
    path = {"PATH": os.pathsep.join((str(plugins), os.environ["PATH"]))}
    _run([sys.executable, "-m", "grpc_tools.protoc", found_in, *arguments], ROOT, path)


def _run(argv: Sequence[str], folder: Path, environ: Mapping[str, str] = _GO) -> None:
    finished = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{' '.join(argv[:3])}: {finished.stdout[-4000:]}"
