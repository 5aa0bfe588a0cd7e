"""The paper's claims C3 to C8 judged against the rows of a study.

A claim holds, or does not, where the whole interval of an effect lies on that side of a threshold, and is undecided
where the interval holds the threshold or is not known. Thresholds are named constants of the files, with their source.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .ablations import top_third_is_enough
from .depth import centre_of_change, curve_statistics, drops, first_change, top_share
from .domains import out_of_domain_changes_less
from .forgetting import no_catastrophic_forgetting
from .places import at_the_top, deeper_for_parsing
from .table import Row

__all__ = ["centre_of_change", "curve_statistics", "drops", "first_change", "judge", "top_share"]


def judge(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Each of the claims C3 to C8 as a row of claims.jsonl.

    rows : of the study's long table; what is not there is judged "not tested".

    Each has: claim, statement, verdict ("holds", "does not hold", "undecided" or "not tested"), effect, low, high and
    unit (of the task that speaks most against it), tasks (the same for each), why (with the numbers), rule, figure.
    """
    table = list(rows)
    deeper, located = deeper_for_parsing(table)
    return [
        no_catastrophic_forgetting(table),
        at_the_top(table),
        deeper,
        out_of_domain_changes_less(table),
        top_third_is_enough(table),
        located,
    ]
