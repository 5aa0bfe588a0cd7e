"""Which shards a worker does, for every way to choose the worker."""

from __future__ import annotations

import pytest

from pyrepsim.core.errors import OptionError
from pyrepsim.core.workers import Worker, find_worker

SLURM = {"SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_ID": "3"}


@pytest.mark.parametrize(
    ("argument", "environ", "expected"),
    [
        (None, {}, Worker(0, 1)),
        ("2/5", {"RANK": "1", "WORLD_SIZE": "4"}, Worker(2, 5)),
        (Worker(1, 2), {}, Worker(1, 2)),
        (None, {"RANK": "1", "WORLD_SIZE": "4"}, Worker(1, 4)),
        (None, {"RANK": "1"}, Worker(0, 1)),
        (None, SLURM, Worker(3, 4)),
        (None, SLURM | {"SLURM_ARRAY_TASK_MIN": "1"}, Worker(2, 4)),
        (None, SLURM | {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_STEP": "2"}, Worker(3, 4)),
        (None, {"SLURM_ARRAY_TASK_ID": "3"}, Worker(0, 1)),
    ],
)
def test_the_worker_of_an_argument_or_an_environment(argument: str, environ: dict[str, str], expected: Worker):
    assert find_worker(argument, environ) == expected


@pytest.mark.parametrize("argument", ["5/5", "0/0", "1", "a/b", "-1/4", "1/4/2", ""])
def test_invalid_workers(argument: str):
    with pytest.raises(OptionError, match="worker must be 'i/n'"):
        find_worker(argument, {})


def test_an_invalid_environment():
    with pytest.raises(OptionError, match="variable RANK must be a whole number: got 'x'"):
        find_worker(None, {"RANK": "x", "WORLD_SIZE": "4"})
    with pytest.raises(OptionError, match="0 <= i < n: got 4/4"):
        find_worker(None, {"RANK": "4", "WORLD_SIZE": "4"})


def test_every_shard_has_one_worker():
    workers = [Worker(i, 3) for i in range(3)]
    assert all(sum(worker.takes(shard) for worker in workers) == 1 for shard in range(20))
