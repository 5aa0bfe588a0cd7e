"""Structural probes: dependency trees as distances between word vectors (Hewitt & Manning 2019)."""

from .api import structural_probe
from .scores import evaluate

__all__ = ["evaluate", "structural_probe"]
