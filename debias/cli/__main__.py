"""Starts the command: ``debias``, or ``python -m debias.cli``."""

from debias.console.process.program_start import start


def main() -> None:
    """Run the command, and end the process."""
    start("debias", "debias.cli.commands")


if __name__ == "__main__":
    main()
