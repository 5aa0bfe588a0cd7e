"""Texts through a model into a store (`extract`), or straight into a comparison (`compare_models`)."""

from .api import extract
from .fused import compare_models
from .layout import Policy
from .plan import ExtractionPlan
from .planning import plan_extraction

__all__ = ["ExtractionPlan", "Policy", "compare_models", "extract", "plan_extraction"]
