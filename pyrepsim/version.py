"""The version of pyrepsim."""

__version__ = "0.1.0"
