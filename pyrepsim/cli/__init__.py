"""The command `pyrepsim`. Commands import what they need when they run, so that `--help` is quick."""

from .main import main, run

__all__ = ["main", "run"]
