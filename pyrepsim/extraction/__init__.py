"""Texts through a model into a store (`extract`), or straight into a comparison (`compare_models`)."""

from ..worker import Worker, find_worker
from .api import extract
from .documents import Corpus, Document
from .fused import compare_models
from .plan import ExtractionPlan
from .planning import plan_extraction
from .policy import Policy
from .text import read_texts

__all__ = [
    "Corpus",
    "Document",
    "ExtractionPlan",
    "Policy",
    "Worker",
    "compare_models",
    "extract",
    "find_worker",
    "plan_extraction",
    "read_texts",
]
