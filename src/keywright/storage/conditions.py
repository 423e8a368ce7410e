"""Queries whose conditions depend on what is asked for: only those that are, with their values.

A condition that is written as `$1 IS NULL OR column = $1` keeps PostgreSQL from using the index of
that column in a generic plan; one that is left out does not.
"""

from collections.abc import Iterable


class Conditions:
    """Conditions joined by AND, and the values of their placeholders."""

    def __init__(self, asked: Iterable[tuple[str, object]]) -> None:
        """Take pairs of a condition and its value; `{0}` in the condition stands for the value.

        A pair whose value is None, or empty, asks nothing.
        """
        self.values: list[object] = []
        conditions = [
            condition.format(self.placeholder(value))
            for condition, value in asked
            if value is not None and value not in ("", [], {})
        ]
        self.sql = " AND ".join(conditions)

    def placeholder(self, value: object) -> str:
        """Add a value that is no condition's; returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"
