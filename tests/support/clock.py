"""A clock in the test's hand."""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Shows `now`, in seconds; only a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now
