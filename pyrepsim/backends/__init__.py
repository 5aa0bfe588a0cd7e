"""Where sums are made: ``cpu`` (the compiled engine), ``cuda`` (an NVIDIA GPU), ``reference`` (plain NumPy, obvious).

A backend is a module with

* ``rows_view(array, name)``: the input gate, `arrays.rows_view` or one that leaves arrays where the backend wants them;
* ``stage(views)``: rows that passed the gate, where they will be read: the next three take these, or NumPy views;
* ``first_nonfinite(rows, n_threads)`` and ``first_directionless_row(rows, transform, n_threads)``:
  the (row, column) that must not enter a sum, or None;
* ``Moments(widths, pairs, transform=, precision=)``: ``update(chunk, n_threads)``,
  ``get_state(complete, n_threads=1)``,
  ``set_state(state)``, ``n_samples``; the state is a dictionary of plain sums (stats/state.py gives the formulas);
* ``Panels``, ``mean_row``, the sweeps over pairs of rows and the ranks of what they make: reference_pairwise.py gives
  the formulas; ``tile_precisions`` names the precisions of ``Panels``;
* ``writable_on_device(array, name)``: an array of another library to write results to, or None;
* ``on_device(k)``: inside, this thread works on the k-th device, counted round where there are fewer;
* ``narrow(rows, out, sums, n_summed)``: rows to the type of a store (narrowing.py);
* ``centre(matrix, e, f, n_threads)``: matrix - e f^T in place, and the sums of squares of its rows; not on the GPU;
* ``arborescences(scores, lengths, n_threads)``: trees from arc scores (reference_trees.py); not on the GPU.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType

from ..core.errors import BackendError, OptionError

__all__ = ["available_backends", "default_threads", "get_backend"]


def _reason_without_cpu() -> str | None:
    try:
        importlib.import_module("pyrepsim._core")
    except ImportError as error:
        return f"the compiled engine does not import ({error})"
    return None


def _reason_without_cuda() -> str | None:
    from .cuda.device import reason_without

    return reason_without()


# Each backend's module, and why it cannot be used here (None: it can).
_BACKENDS: dict[str, tuple[str, Callable[[], str | None]]] = {
    "cpu": ("pyrepsim.backends.cpu", _reason_without_cpu),
    "cuda": ("pyrepsim.backends.cuda", _reason_without_cuda),
    "reference": ("pyrepsim.backends.reference", lambda: None),
}


def get_backend(name: str = "auto") -> ModuleType:
    """The backend module called ``name``; ``"auto"`` takes the compiled engine, or plain NumPy where that is missing.

    A GPU is taken only when asked for: its scores agree to rounding, not to the bit, and it may be somebody else's.
    """
    if name == "auto":
        name = "reference" if _reason_without_cpu() else "cpu"
    if name not in _BACKENDS:
        raise OptionError(f"backend must be 'auto' or one of {', '.join(_BACKENDS)}: got {name!r}.")
    module, reason_without = _BACKENDS[name]
    if reason := reason_without():
        raise BackendError(
            f"backend {name!r} must be there to be used: {reason}. "
            f"{'Pass' if name == 'cuda' else 'Reinstall pyrepsim, or pass'} another backend, for example "
            f"{'cpu' if name == 'cuda' else 'reference'!r}."
        )
    return importlib.import_module(module)


def available_backends() -> dict[str, str | None]:
    """Each backend's name with the reason why it cannot be used, or None when it can."""
    return {name: reason_without() for name, (_, reason_without) in _BACKENDS.items()}


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
