"""The `keywright` command: what callers do (`cli`), and the programs that serve."""

from keywright.app.commands import add_to
from keywright.cli import app
from keywright.console.commands import add_to as add_console_to
from keywright.sidecar.commands import add_to as add_sidecar_to


def main() -> None:
    """Run the command."""
    add_to(app)
    add_sidecar_to(app)
    add_console_to(app)
    app(prog_name="keywright")


if __name__ == "__main__":
    main()
