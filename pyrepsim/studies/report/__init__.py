"""The report of a study: figures, tables and one page, drawn from its result files alone."""

from .api import StudyReport, study_report
from .sections import FIGURES, figure

__all__ = ["FIGURES", "StudyReport", "figure", "study_report"]
