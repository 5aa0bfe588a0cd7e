"""Packed rows and whole sweeps, for tests of reductions over tiles."""

from __future__ import annotations

from pyrepsim import _core

TRANSFORMS = {"cosine": "unit", "angular": "unit", "correlation": "unit_centred"}


def panels(rows, metric: str, *, precision: str = "fp32", n_blocks: int = 4, isa: str = "auto"):
    """Packed rows with the transform of `metric`, in the given number of blocks (default: one for each row)."""
    n_blocks = min(n_blocks, len(rows))
    blocks = [round(len(rows) * b / n_blocks) for b in range(n_blocks + 1)]
    transform = TRANSFORMS.get(metric, "raw")
    return _core.Panels(rows, transform=transform, shift=None, precision=precision, blocks=blocks, n_threads=2, isa=isa)


def run(sweep, n_threads: int = 2):
    """The result of a sweep run in two slices."""
    half = sweep.n_tasks // 2
    sweep.run(0, half, n_threads)
    sweep.run(half, sweep.n_tasks, n_threads)
    return sweep.result()
