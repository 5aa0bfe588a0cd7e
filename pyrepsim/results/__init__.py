"""Scores, and the tables, figures and pages that show results. Nothing here knows how results were computed."""

from .scores import Score, Scores

__all__ = ["Score", "Scores"]
