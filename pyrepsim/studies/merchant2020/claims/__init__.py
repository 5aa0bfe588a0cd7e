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
    >>> shared = {"experiment": "freezing", "task": "mnli", "metric": "accuracy", "n": 9815}
    >>> lost = {"kind": "difference", "k": 8, "value": 0.002, "low": -0.002, "high": 0.006}
    >>> gained = {"kind": "gain", "member": "last epoch", "value": 0.001}
    >>> rows = [shared | row for row in (lost, gained | {"k": 0}, gained | {"k": 8}, {"k": 12, "value": 0.6})]
    >>> claim = next(claim for claim in judge(rows) if claim["claim"] == "C7")
    >>> claim["verdict"], round(claim["effect"], 4)
    ('holds', 0.002)
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
