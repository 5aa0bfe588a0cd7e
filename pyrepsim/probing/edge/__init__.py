"""Edge probing: small classifiers of spans over the frozen layers of an encoder, all trained at once."""

from .api import edge_probe
from .evaluation import F1, Rule, f1_score, rule_of
from .lexical import lexical_table
from .members import Member, choose_members
from .recipe import Recipe
from .records import probe_texts
from .result import EdgeResult, centre_of_gravity, divergence, expected_layer, gain_divergence, relative_gains

__all__ = [
    "F1",
    "EdgeResult",
    "Member",
    "Recipe",
    "Rule",
    "centre_of_gravity",
    "choose_members",
    "divergence",
    "edge_probe",
    "expected_layer",
    "f1_score",
    "gain_divergence",
    "lexical_table",
    "probe_texts",
    "relative_gains",
    "rule_of",
]
