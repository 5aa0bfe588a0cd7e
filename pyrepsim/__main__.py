"""`python -m pyrepsim` is the command `pyrepsim`."""

from .cli import run

run()
