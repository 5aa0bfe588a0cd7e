"""Where sums are made: ``cpu`` (the compiled engine) or ``reference`` (plain NumPy, slow, obvious).

A backend is a module with

* ``Moments(widths, pairs, rows=, precision=)``: ``update(chunk, n_threads)``, ``get_state(complete)``,
  ``set_state(state)``, ``n_samples``; the state is a dictionary of plain sums (stats/state.py gives the formulas);
* ``first_nonfinite(rows, n_threads)`` and ``first_directionless_row(rows, transform, n_threads)``:
  the (row, column) that must not enter a sum, or None;
* ``narrow(rows, out, sums, n_summed)``: rows to the type of a store (narrowing.py).
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from ..errors import BackendError, OptionError

__all__ = ["available_backends", "default_threads", "get_backend"]

_BACKENDS = ("cpu", "reference")


def get_backend(name: str = "auto") -> ModuleType:
    """The backend module called ``name``; ``"auto"`` takes the compiled engine when it is there."""
    if name == "auto":
        name = "reference" if available_backends()["cpu"] else "cpu"
    if name not in _BACKENDS:
        raise OptionError(f"backend must be 'auto' or one of {', '.join(_BACKENDS)}: got {name!r}.")
    reason = available_backends()[name]
    if reason:
        raise BackendError(
            f"backend {name!r} must be built to be used: {reason}. Reinstall pyrepsim, or pass backend='reference'."
        )
    return importlib.import_module(f".{name}", __name__)


def available_backends() -> dict[str, str | None]:
    """Each backend's name with the reason why it cannot be used, or None when it can."""
    reasons: dict[str, str | None] = {"reference": None}
    try:
        importlib.import_module("pyrepsim._core")
        reasons["cpu"] = None
    except ImportError as error:
        reasons["cpu"] = f"the compiled engine does not import ({error})"
    return {name: reasons[name] for name in _BACKENDS}


def default_threads() -> int:
    """PYREPSIM_NUM_THREADS, else the cores this process may use, within its cgroup's CPU quota."""
    wanted = os.environ.get("PYREPSIM_NUM_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= 4096:
            raise OptionError(f"PYREPSIM_NUM_THREADS must be a positive whole number: got {wanted!r}.")
        return int(wanted)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no cgroup, or one of another shape: the affinity mask stands
    return cores
