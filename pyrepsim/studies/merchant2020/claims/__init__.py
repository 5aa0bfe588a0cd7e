"""The paper's claims C3 to C8, judged on the rows of a study.

A claim holds, or does not hold, if the whole interval of an effect lies on one side of a threshold. It is undecided if
the interval contains the threshold, or is not known. Thresholds are named constants of the modules, with their source.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .ablations import judge_freezing
from .curves import centre_of_change, curve_statistics, drops, first_change, top_share
from .domains import judge_domains
from .forgetting import judge_forgetting
from .location import judge_depth, judge_top_layers
from .rows import Row

__all__ = ["centre_of_change", "curve_statistics", "drops", "first_change", "judge", "top_share"]


def judge(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Judge the claims C3 to C8.

    Parameters
    ----------
    rows : iterable of mappings
        Rows of the study's table. A claim without rows is "not tested".

    Returns
    -------
    list of dict
        A record of claims.jsonl for each claim: claim, statement, verdict ("holds", "does not hold", "undecided" or
        "not tested"), effect, low, high and unit (of the task that speaks most against the claim), in_points (whether
        the effect is a difference of scores, as a fraction), tasks (the same for each task), why (a sentence with the
        numbers), rule and figure.

    Examples
    --------
    >>> from pyrepsim.studies.merchant2020.claims import judge
    >>> rows = [
    ...     {"experiment": "freezing", "task": "mnli", "metric": "accuracy", "seed": seed, "k": k, "value": value}
    ...     for seed in (0, 1, 2) for k, value in ((0, 0.84), (8, 0.838 + 0.001 * seed), (12, 0.60))
    ... ]
    >>> claim = next(claim for claim in judge(rows) if claim["claim"] == "C7")
    >>> claim["verdict"], round(claim["effect"], 4)
    ('holds', 0.001)
    """
    table = list(rows)
    deeper, centre = judge_depth(table)
    return [
        judge_forgetting(table),
        judge_top_layers(table),
        deeper,
        judge_domains(table),
        judge_freezing(table),
        centre,
    ]
