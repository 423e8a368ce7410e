"""What an operator is told when the configuration is wrong: every mistake at once."""

from collections.abc import Sequence
from dataclasses import dataclass

ENVIRONMENT_PREFIX = "KEYWRIGHT_"


def variable(setting: str) -> str:
    """The environment variable of a setting: `KEYWRIGHT_LISTEN` of `listen`."""
    return ENVIRONMENT_PREFIX + setting.upper()


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Attributes:
        where: the setting as the operator types it, or the file that cannot be read.
        problem: what is wrong and what would be right; never contains the value that was given,
            because a secret may have been typed into the wrong place.
    """

    where: str
    problem: str

    @classmethod
    def of(cls, setting: str, problem: str) -> "Mistake":
        """A mistake in the value of a setting, by its name in the TOML file."""
        return cls(f"{variable(setting)} (in TOML: {setting})", problem)

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


class ConfigurationError(Exception):
    """The configuration cannot be used; `mistakes` has at least one."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        super().__init__(f"the configuration has {count}:{lines}")
        self.mistakes = tuple(mistakes)
