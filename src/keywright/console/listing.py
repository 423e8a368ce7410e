"""The address of a list: what of it is asked for, and what leads to something else."""

from dataclasses import dataclass
from urllib.parse import urlencode

from keywright.console.forms import Form


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a list is asked for, as its address says it.

    Attributes:
        filters: the fields that narrow it.
    """

    form: Form
    filters: tuple[str, ...]

    def with_(self, **changed: str) -> str:
        """The address of the list with something else; from its first page on."""
        asked = {name: self.form.text(name) for name in self.filters} | changed
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"?{query}" if query else "?"

    def later(self, next_page: str) -> str:
        """The address of the next page; empty on the last."""
        return self.with_(page=next_page) if next_page else ""

    @property
    def first(self) -> str:
        """The address of the first page; empty there."""
        return self.with_() if self.form.text("page") else ""

    @property
    def is_filtered(self) -> bool:
        """Whether anything narrows the list."""
        return any(self.form.text(name) for name in self.filters)
