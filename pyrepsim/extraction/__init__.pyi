from .extracting import extract as extract
from .extracting import plan_extraction as plan_extraction
from .options import ExtractionOptions as ExtractionOptions
from .options import ReadingOptions as ReadingOptions
from .options import ReadingPolicy as ReadingPolicy
from .plan import ExtractionPlan as ExtractionPlan
from .streaming import compare_models as compare_models
