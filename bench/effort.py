"""How much is measured: enough for a table that can be quoted, or a smoke run."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """The bounds of every loop.

    Attributes:
        rounds: how often each target gets a slice, in turn with the others.
        slice_seconds: how long a slice of load lasts.
        samples: how often a single operation is timed, in turn with the others.
        few, many: the numbers of keys whose look-ups are compared.
        cached: how many keys a server remembers when its memory is measured.
        missed: how many are looked up once, for each number of calls in flight.
        revoked: how many are revoked, for each way of doing it.
        forged: how many forged tokens are presented, of all kinds.
        connections: over how many one load comes.
        narrowed: how many keys a change of a role takes something from.
        replicas: how many servers share a database, one number after the other.
        replica_seconds: for how long what they write is counted.
        hot: how many keys are asked for at once after a restart.
        soaked: how many calls one server answers.
    """

    rounds: int
    slice_seconds: float
    samples: int
    few: int
    many: int
    cached: int
    missed: int
    revoked: int
    forged: int
    connections: int
    narrowed: int
    replicas: Sequence[int]
    replica_seconds: float
    hot: int
    soaked: int


THOROUGH = Effort(
    rounds=3,
    slice_seconds=1.0,
    samples=1500,
    few=10_000,
    many=1_000_000,
    cached=10_000,
    missed=1_000,
    revoked=80,
    forged=100_000,
    connections=1_000,
    narrowed=100_000,
    replicas=(1, 4, 16),
    replica_seconds=3,
    hot=10_000,
    soaked=10_000_000,
)
QUICK = Effort(
    rounds=1,
    slice_seconds=0.3,
    samples=200,
    few=1_000,
    many=20_000,
    cached=300,
    missed=64,
    revoked=4,
    forged=800,
    connections=100,
    narrowed=2_000,
    replicas=(1, 2),
    replica_seconds=1,
    hot=500,
    soaked=5_000,
)
