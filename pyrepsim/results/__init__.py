"""Scores, and the tables, figures and pages that show results."""

from .scores import Score, Scores

__all__ = ["Score", "Scores"]
