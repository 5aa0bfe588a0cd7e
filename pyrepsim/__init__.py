"""What training does to a network's representations, measured exactly: extract, compare, probe, ablate."""

__version__ = "0.1.0"
