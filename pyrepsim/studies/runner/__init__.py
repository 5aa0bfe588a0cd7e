"""Studies in general: cells that are run once each, by any number of workers, and one long table of results."""

from .cell import Cell, Cost, Study
from .folder import read_rows
from .running import StudyResult, run_study
from .status import PlannedCell, StudyPlan, StudyStatus, plan_study, study_status
from .table import COLUMNS, select

__all__ = [
    "COLUMNS",
    "Cell",
    "Cost",
    "PlannedCell",
    "Study",
    "StudyPlan",
    "StudyResult",
    "StudyStatus",
    "plan_study",
    "read_rows",
    "run_study",
    "select",
    "study_status",
]
