from .finetuning import finetune as finetune
from .planning import FinetuningPlan as FinetuningPlan
from .planning import plan_finetuning as plan_finetuning
from .run import Run as Run
from .run import open_run as open_run
from .sweep import Sweep as Sweep
from .sweep import ablate as ablate
from .untrained import early_exit as early_exit
