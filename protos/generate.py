"""Write the Python code for our protos, or check that what is committed is fresh.

    python protos/generate.py            write src/keywright/v1 and src/keywright/sidecar/envoy_api
    python protos/generate.py --check    write nothing; exit 1 and name each file that differs

The messages' rules need `buf/validate/validate.proto`. Its code is kept inside our own package, so
that installing keywright does not put a top-level package named `buf` on anybody's path; the import
lines that protoc writes are changed to match. The code for `google/api` comes from
googleapis-common-protos.

The sidecar speaks Envoy's external authorization. Its code, too, is kept inside our own package,
and in a descriptor pool of its own (`keywright.sidecar.envoy_pool`): other packages bring all of
Envoy's protos, and the default pool would not take files of the same names from both.
"""

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
SOURCE = PROTOS.parent / "src"
TARGET = Path("keywright", "v1")
ENVOY_TARGET = Path("keywright", "sidecar", "envoy_api")

VENDORED = "buf/validate/validate.proto"
VENDOR_PACKAGE = "keywright.v1._third_party"
ENVOY_PACKAGE = "keywright.sidecar.envoy_api"

REWRITES = (
    (re.compile(r"^from buf\.", re.MULTILINE), f"from {VENDOR_PACKAGE}.buf."),
    # grpcio-tools writes its own patch release as the oldest grpcio that will do, although patch
    # releases generate the same: it would raise our floor, and differ from machine to machine.
    (re.compile(r"(?<=^GRPC_GENERATED_VERSION = ')(\d+\.\d+)\.\d+", re.MULTILINE), r"\1.0"),
)

ENVOY_REWRITES = (
    (re.compile(r"^from envoy\.", re.MULTILINE), f"from {ENVOY_PACKAGE}.envoy."),
    (
        re.compile(
            r"^from google\.protobuf import descriptor_pool as _descriptor_pool$", re.MULTILINE
        ),
        "from keywright.sidecar.envoy_pool import POOL as _POOL",
    ),
    (re.compile(r"\b_descriptor_pool\.Default\(\)"), "_POOL"),
)

PACKAGES = {
    ".": "Messages and stubs of `keywright.v1`, generated from protos/ by `make proto`.",
    "_third_party": "Generated code that ours needs, kept off everybody's top level.",
    "_third_party/buf": "Generated from protos/third_party/buf; see the README there.",
    "_third_party/buf/validate": "The options that carry the messages' rules.",
}


def main() -> int:
    """Parse the arguments, generate into a temporary directory, then compare or copy."""
    parser = argparse.ArgumentParser(description="Generate our Python code from protos/.")
    parser.add_argument("--check", action="store_true", help="only say which files are stale")
    check: bool = parser.parse_args().check
    complaints = []
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch, "ours"))
        generate_envoy(Path(scratch, "envoy"))
        for target, fresh in (
            (TARGET, Path(scratch, "ours", TARGET)),
            (ENVOY_TARGET, Path(scratch, "envoy", ENVOY_TARGET)),
        ):
            if check:
                complaints += differences(target, fresh)
            else:
                replace(SOURCE / target, fresh)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        print("the generated code is not what protos/ says: run `make proto`", file=sys.stderr)
    return 1 if complaints else 0


def generate(scratch: Path) -> None:
    """Write what belongs at `src/keywright/v1` below `scratch`.

    Raises:
        SystemExit: protoc refused a file, having said why on standard error.
    """
    scratch.mkdir()
    ours = sorted(
        path.relative_to(PROTOS).as_posix() for path in PROTOS.glob("keywright/v1/*.proto")
    )
    services = [name for name in ours if name.endswith("_service.proto")]
    run_protoc([*ours, VENDORED], python_out=scratch, mypy_out=scratch)
    run_protoc(services, grpc_python_out=scratch, mypy_grpc_out=scratch)

    package = scratch / TARGET
    shutil.move(scratch / "buf", package / "_third_party" / "buf")
    for folder, docstring in PACKAGES.items():
        (package / folder / "__init__.py").write_text(f'"""{docstring}"""\n', encoding="utf-8")
    rewrite(package, REWRITES)


def generate_envoy(scratch: Path) -> None:
    """Write what belongs at `src/keywright/sidecar/envoy_api` below `scratch`.

    Raises:
        SystemExit: protoc refused a file, having said why on standard error.
    """
    package = scratch / ENVOY_TARGET
    package.mkdir(parents=True)
    third_party = PROTOS / "third_party"
    names = sorted(
        path.relative_to(third_party).as_posix() for path in third_party.glob("envoy/**/*.proto")
    )
    run_protoc(names, python_out=package, mypy_out=package)
    for folder in {parent for path in package.rglob("*.py") for parent in path.parents}:
        if folder.is_relative_to(package):
            docstring = '"""Generated from protos/third_party/envoy; see the README there."""\n'
            (folder / "__init__.py").write_text(docstring, encoding="utf-8")
    rewrite(package, ENVOY_REWRITES)


def rewrite(package: Path, rewrites: Iterable[tuple[re.Pattern[str], str]]) -> None:
    """Change what protoc wrote, so that it imports what is ours."""
    for path in (*package.rglob("*_pb2*.py"), *package.rglob("*_pb2*.pyi")):
        text = path.read_text(encoding="utf-8")
        for pattern, replacement in rewrites:
            text = pattern.sub(replacement, text)
        path.write_text(text, encoding="utf-8")


def run_protoc(names: list[str], **outputs: Path) -> None:
    """Compile the named files; each keyword is one of protoc's `--..._out` options."""
    beside_python = Path(sys.executable).parent
    finished = subprocess.run(
        [
            sys.executable,
            *("-m", "grpc_tools.protoc", "--fatal_warnings"),
            f"--proto_path={PROTOS}",
            f"--proto_path={PROTOS / 'third_party'}",
            f"--plugin=protoc-gen-mypy={beside_python / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={beside_python / 'protoc-gen-mypy_grpc'}",
            *(
                f"--{option}={'quiet:' if option.startswith('mypy') else ''}{directory}"
                for option, directory in outputs.items()
            ),
            *names,
        ],
        check=False,
    )
    if finished.returncode != 0:
        raise SystemExit(finished.returncode)


def differences(target: Path, fresh: Path) -> list[str]:
    """Say of each file that is missing, stale or not generated at all, in order of their paths."""
    committed = SOURCE / target
    have, want = listing(committed), listing(fresh)
    verdicts = dict.fromkeys(want - have, "missing")
    verdicts |= dict.fromkeys(have - want, "not generated from any proto")
    verdicts |= {
        path: "stale"
        for path in want & have
        if not filecmp.cmp(committed / path, fresh / path, shallow=False)
    }
    return [f"src/{target.as_posix()}/{path}: {verdicts[path]}" for path in sorted(verdicts)]


def replace(committed: Path, fresh: Path) -> None:
    """Make `committed` the same as `fresh`, touching only the files that differ."""
    for path in listing(committed) - listing(fresh):
        (committed / path).unlink()
    for path in sorted(listing(fresh)):
        target = committed / path
        if not target.exists() or not filecmp.cmp(target, fresh / path, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / path, target)


def listing(root: Path) -> set[str]:
    """Return the paths of the source files below `root`, relative to it."""
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py*")
        if path.is_file() and path.suffix in {".py", ".pyi"}
    }


if __name__ == "__main__":
    sys.exit(main())
