"""The `keywright` command: what callers do (`cli`), and what servers do (`app`)."""

from keywright.app.commands import add_to
from keywright.cli import app


def main() -> None:
    """Run the command."""
    add_to(app)
    app(prog_name="keywright")


if __name__ == "__main__":
    main()
