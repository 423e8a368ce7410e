"""How much is measured: enough for a table that can be quoted, or a smoke run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """The bounds of every loop.

    Attributes:
        rounds: how often each target gets a slice, in turn with the others.
        slice_seconds: how long a slice of load lasts.
        samples: how often a single operation is timed, in turn with the others.
        few, many: the numbers of keys whose look-ups are compared.
    """

    rounds: int
    slice_seconds: float
    samples: int
    few: int
    many: int


THOROUGH = Effort(rounds=5, slice_seconds=1.5, samples=3000, few=10_000, many=1_000_000)
QUICK = Effort(rounds=1, slice_seconds=0.3, samples=200, few=1_000, many=20_000)
