"""Scores, and the tables, figures and pages that show results. Nothing here knows how results were computed."""

from .matrix import ComparisonMatrix
from .revisions import RevisionScores
from .score import Score
from .scores import Scores

__all__ = ["ComparisonMatrix", "RevisionScores", "Score", "Scores"]
