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
        self._conditions: list[str] = []
        for condition, value in asked:
            if value is not None and value not in ("", [], {}):
                self.require(condition, value)

    def require(self, condition: str, *values: object) -> None:
        """Add a condition; `{0}`, `{1}` stand for the values."""
        self._conditions.append(condition.format(*map(self.placeholder, values)))

    def placeholder(self, value: object) -> str:
        """Add a value that is no condition's; returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    @property
    def sql(self) -> str:
        """All of them."""
        return " AND ".join(self._conditions)


def in_workspace(table: str, workspace_id: str = "{0}") -> str:
    """A condition: the row of `table` is of the workspace of that public id.

    As a value and not as a join, so that an index which begins with the workspace serves; and as a
    list of one, so that a page which is sorted by workspace and id comes from the index of both:
    known to be one and the same, the workspace would be dropped from the order, and a small
    workspace be searched for in the keys of all.
    """
    return (
        f"{table}.workspace = ANY (ARRAY["
        f"(SELECT id FROM keywright.workspace WHERE workspace_id = {workspace_id})])"
    )


def below(column: str, roots: str = "{0}") -> str:
    """A condition: the resource in `column` is one of the resources in `roots`, or below one.

    An empty one among them stands for every resource.
    """
    return (
        f"EXISTS (SELECT FROM unnest({roots}::text[]) AS root WHERE {column} <> '' AND "
        f"(root = '' OR {column} = root OR starts_with({column}, root || '/')))"
    )
