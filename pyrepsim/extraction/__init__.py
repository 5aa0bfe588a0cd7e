"""Extraction: texts through a model into a store (`extract`), or straight into a comparison (`compare_models`)."""

from .documents import Corpus, Document
from .dry_run import plan_extraction
from .extract import extract
from .fused import compare_models
from .plan import ExtractionPlan
from .policy import Policy
from .text import read_texts
from .worker import Worker, find_worker

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
