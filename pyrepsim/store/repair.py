"""Committed shards that are damaged: they are found, and written again by the next extraction into the store."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ..core import files
from ..core.ownership import owning
from .catalog import Problem, shard_problems, verify
from .layout import MANIFEST, PLAN, journal_parts
from .reader import read_plan

__all__ = ["drop_damaged", "drop_damaged_shards"]

log = logging.getLogger("pyrepsim.store")


def drop_damaged_shards(root: Path, shards: Iterable[int]) -> None:
    """Check the files of these shards of a store that is not sealed; damaged ones are no longer committed."""
    plan = read_plan(root)
    for shard in shards:
        if files.exists(root, journal_parts(shard)):
            _drop(root, list(shard_problems(root, plan, None, shard, lambda _: None)))


def drop_damaged(root: Path) -> None:
    """Check a whole store, if there is one; it is unsealed if it is damaged, and damaged shards are not committed."""
    if not files.exists(root, PLAN) or not verify(root, collect=True):
        return
    with owning(root):
        problems = verify(root, collect=True)
        root.joinpath(*MANIFEST).unlink(missing_ok=True)
        _drop(root, problems)


def _drop(root: Path, problems: Iterable[Problem]) -> None:
    for problem in problems:
        log.warning("%s: %s It is written again.", root, problem)
        if problem.shard is not None:
            root.joinpath(*journal_parts(problem.shard)).unlink(missing_ok=True)
