from .report import study_report as study_report
from .runner import plan_study as plan_study
from .runner import run_study as run_study
from .runner import study_status as study_status
