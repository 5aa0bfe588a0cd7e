"""Reading the token columns of one shard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from . import files
from .header import check_header, tokens_header
from .layout import PAGE, tokens_parts
from .rows import COLUMNS, ROW_BYTES


def read_columns(root: Path, plan_digest: str, shard: int, rows: int, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The columns ``names`` of a token shard, each of shape (rows,), once size and header are checked."""
    parts = tokens_parts(shard)
    where = f"{files.name_of(parts)} of {root}"
    offsets, offset = {}, PAGE
    for name, dtype in COLUMNS.items():
        offsets[name] = offset
        offset += rows * dtype.itemsize
    with files.opened(root, parts) as fd:
        files.check_size(fd, PAGE + rows * ROW_BYTES, where)
        head = bytearray(PAGE)
        files.read_into(fd, memoryview(head), 0, where)
        check_header(bytes(head), tokens_header(plan_digest, shard, rows), where)
        columns = {name: np.empty(rows, dtype=COLUMNS[name]) for name in names}
        for name, column in columns.items():
            files.read_into(fd, memoryview(column.view(np.uint8)), offsets[name], where)
    return columns
