from .ablations import AblationScores as AblationScores
from .ablations import ablate as ablate
from .estimate import FinetuningPlan as FinetuningPlan
from .estimate import plan_finetuning as plan_finetuning
from .run import Run as Run
from .run import open_run as open_run
from .training import finetune as finetune
from .tuned_run import early_exit as early_exit
