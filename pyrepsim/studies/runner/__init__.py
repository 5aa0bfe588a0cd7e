"""What any study is: cells that are run once, by any number of workers, into one long table. No science here."""

from .cell import Cell, Cost, Study
from .ledger import read_rows
from .planning import PlannedCell, StudyPlan, plan_study
from .rows import COLUMNS
from .runner import StudyResult, run_study
from .status import StudyStatus, study_status

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
    "study_status",
]
