"""The model's searches: what is explored, which mistakes are planted, and how SPIN is run."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("protocol.pml", "rules.h")
TRACES = HERE / "mistakes"
TOOLS = ("spin", "gcc")

# What a correct protocol is explored in: switches of protocol.pml. README.md says what each covers.
CONFIGURATIONS = {
    "one_replica": ("REVISIONS=4",),
    "two_replicas": ("N=2", "REVISIONS=2"),
    "a_watcher": ("WATCHER",),
    "a_watcher_between_two_replicas": ("N=2", "REVISIONS=2", "WATCHER", "STEADY", "CACHES=1"),
    "failover_with_a_synchronous_standby": ("SYNC",),
    "failover_with_an_asynchronous_standby": ("ASYNC",),
    "failover_of_two_replicas_with_a_synchronous_standby": (
        "N=2", "REVISIONS=2", "SYNC", "STEADY",
    ),
    "failover_of_two_replicas_with_an_asynchronous_standby": (
        "N=2", "L=1", "REVISIONS=2", "ASYNC", "STEADY",
    ),
    "failover_with_a_synchronous_standby_and_a_watcher": (
        "REVISIONS=2", "SYNC", "WATCHER", "STEADY",
    ),
    "failover_with_an_asynchronous_standby_and_a_watcher": (
        "REVISIONS=2", "ASYNC", "WATCHER", "STEADY",
    ),
}  # fmt: skip

WATCHED = ("WATCHER", "REVISIONS=2")

# Each planted mistake, and a configuration in which it shows.
MISTAKES = {
    # The list that the protocol was built against.
    "LEASE_FROM_REPLY": (),
    "LEASE_BELOW_POSITION": (),
    "REFILL_UNGUARDED": (),
    "MISS_WITHOUT_LEASE": (),
    "NO_TAG": ("ASYNC", "STEADY"),
    "APPLIED_BEFORE_CACHE": (),
    "WAIT_FROM_SENDING": (),
    "ROWS_FROM_ANOTHER_CONNECTION": ("SYNC", "STEADY"),
    "NOTHING_WITHOUT_WAIT": (),
    "REGISTERED_WITH_LEASE": (),
    "REMOVED_BY_DATABASE_CLOCK": (),
    "GRANT_BEYOND_LEASE": WATCHED,
    "ACKNOWLEDGED_WITHOUT_WATCHER": WATCHED,
    "GRANT_FORGOTTEN": WATCHED,
    "CLIENT_UNGUARDED": WATCHED,
    # What the model taught besides.
    "REFILL_AHEAD": ("SYNC", "STEADY"),
    "ACKNOWLEDGED_BY_NUMBER": ("ASYNC", "STEADY"),
    "EARLY_AFTER_FAILOVER": ("ASYNC", "STEADY"),
    "NOTHING_UNWRITTEN": ("SYNC", "STEADY"),
    "REMOVED_WITHOUT_COUNTER": (),
    "GRANT_BEHIND": WATCHED,
    "GRANT_FROM_RECEIPT": WATCHED,
    "LEFT_BEFORE_GRANTS_END": WATCHED,
    "LEASE_TAKEN_BACK": ("N=2", "L=1", "CACHES=1", "STEADY", *WATCHED),
}

# Safety only; no partial orders to use, since all state is shared.
_COMPILE = ("gcc", "-O2", "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR")
# All states, 8 bytes each (a hash: two of 10^7 states share one with a probability below 10^-5).
_EXHAUSTIVE = ("-DHC4", "-DMEMLIM=2000")
# The shortest counterexample.
_SHORTEST = ("-DBFS", "-DMEMLIM=2000")


@dataclass(frozen=True)
class Search:
    """What a search found: whether it ended, the errors, the states it stored, and a trace."""

    complete: bool
    errors: int
    states: int
    trace: str
    output: str


def missing_tools() -> list[str]:
    """The programs that a search needs and that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def search(switches: tuple[str, ...], *, shortest: bool) -> Search:
    """Explore the protocol with these switches; `shortest`: to the nearest counterexample."""
    defines = [f"-D{switch}" for switch in switches]
    with tempfile.TemporaryDirectory() as scratch:
        for name in SOURCES:
            shutil.copy(HERE / name, scratch)
        _run(scratch, "spin", *defines, "-a", SOURCES[0])
        _run(scratch, *_COMPILE, *(_SHORTEST if shortest else _EXHAUSTIVE), "-o", "pan", "pan.c")
        output = _run(scratch, "./pan", "-m1000000", "-w25")
        trace = ""
        if Path(scratch, f"{SOURCES[0]}.trail").exists():
            replayed = _run(scratch, "spin", "-t", "-T", *defines, SOURCES[0])
            trace = replayed.partition("spin: ")[0]
    words = output.replace(",", " ").split()
    return Search(
        complete="max search depth too small" not in output and "memory limit" not in output,
        errors=int(words[words.index("errors:") + 1]),
        states=int(float(words[words.index("stored") - 2])),
        trace=trace,
        output=output,
    )


def counterexample(mistake: str) -> Search:
    """The shortest way from this mistake to a wrong ALLOW."""
    return search((*MISTAKES[mistake], mistake), shortest=True)


def committed_trace(mistake: str) -> Path:
    """Where the counterexample of a mistake is kept."""
    return TRACES / f"{mistake.lower()}.txt"


def _run(directory: str, *command: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    # SPIN says some of its errors only in words, and pan ends with 0 after a violation.
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Write the counterexamples of all mistakes anew."""
    for mistake in MISTAKES:
        found = counterexample(mistake)
        sys.stderr.write(f"{mistake}: {found.states} states, {found.errors} errors\n")
        committed_trace(mistake).write_text(found.trace)


if __name__ == "__main__":
    main()
