"""Starts the command: ``iterit``, or ``python -m iterit.cli``."""

from debias.console.process.program_start import start


def main() -> None:
    """Run the command, and end the process."""
    start("iterit", "iterit.cli.commands")


if __name__ == "__main__":
    main()
