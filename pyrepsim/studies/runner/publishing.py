"""What a study shows of itself: ``study.json``, ``rows.jsonl`` and ``claims.jsonl``, made anew after every cell."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import xxhash

from ...core.locks import lock
from .cell import Study
from .ledger import LOCK, Ledger, versions
from .rows import write_json, write_lines

__all__ = ["CLAIMS", "RECORD", "ROWS", "publish"]

RECORD, ROWS, CLAIMS = "study.json", "rows.jsonl", "claims.jsonl"

log = logging.getLogger("pyrepsim.studies")


def publish(study: Study, ledger: Ledger) -> None:
    """Write the three files from the cells that are done: the same bits whoever ran them, in whatever order.

    The lock makes sure that what a slower worker saw before does not replace what a faster one sees now.
    """
    ledger.root.mkdir(parents=True, exist_ok=True)
    with lock(ledger.root / LOCK, wait=True):
        records = {cell.id: ledger.record(cell) for cell in study.cells}
        done = [cell for cell in study.cells if records[cell.id].get("state") == "done"]
        rows = [row for cell in done for row in ledger.rows(cell)]
        write_lines(ledger.out / ROWS, rows)
        digest = xxhash.xxh3_64_hexdigest((ledger.out / ROWS).read_bytes())
        write_json(
            ledger.out / RECORD,
            {
                "study": study.name,
                **study.settings,
                "versions": versions(),
                "rows": {"n": len(rows), "xxh3": digest},
                "cells": _told(study, ledger, records),
            },
        )
        if study.judge is None:
            return
        try:
            claims = list(study.judge(rows))
        except Exception:  # the rows are there, and a judge's fault must not cost them
            log.exception("the claims could not be judged")
            (ledger.out / CLAIMS).unlink(missing_ok=True)
        else:
            write_lines(ledger.out / CLAIMS, claims)


def _told(study: Study, ledger: Ledger, records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each cell what its record says; "pending" if it was not begun, "blocked" if what it needs has failed."""
    states: dict[str, str] = {}
    found = []
    for cell in study.cells:
        record = records[cell.id]
        state = record.get("state", "pending")
        if state != "done" and {states[need] for need in cell.needs} & {"failed", "blocked"}:
            state = "blocked"
        states[cell.id] = state
        told = {"experiment": cell.experiment, "name": cell.name, "key": ledger.keys[cell.id], "state": state}
        told |= {"needs": list(cell.needs)} | {_NAMED.get(k, k): record[k] for k in _KEPT if k in record}
        found.append(told)
    return found


_KEPT = ("seconds", "n_bytes", "n_rows", "error", "versions")
_NAMED = {"n_bytes": "bytes"}
