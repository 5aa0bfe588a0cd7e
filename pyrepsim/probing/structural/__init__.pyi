from .fit import fit_structural_probes as fit_structural_probes
from .result import PredictedTree as PredictedTree
from .result import StructuralProbeResult as StructuralProbeResult
from .result import StructuralRecord as StructuralRecord
from .scores import evaluate as evaluate
from .training import StructuralProbeRecipe as StructuralProbeRecipe
from .trees import PUNCTUATION as PUNCTUATION
