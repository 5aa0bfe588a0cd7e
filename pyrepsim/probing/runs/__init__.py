"""Probing a model on annotated files, from texts to tables and figures in one folder."""

from .codes import probe_mdl
from .columns import ProbingTable, probing_table
from .edges import probe_edge
from .outcome import Probing
from .planning import ProbingPlan, plan_probing
from .trees import probe_structural
from .workspace import ProbingOptions

__all__ = [
    "Probing",
    "ProbingOptions",
    "ProbingPlan",
    "ProbingTable",
    "plan_probing",
    "probe_edge",
    "probe_mdl",
    "probe_structural",
    "probing_table",
]
