"""The command `pyrepsim`. Nothing heavy is imported before a verb runs, so that `--help` answers at once."""

from .main import main

__all__ = ["main"]
