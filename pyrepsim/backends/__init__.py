"""Compute backends: ``cpu`` (compiled engine), ``cuda`` (NVIDIA GPU), ``reference`` (plain NumPy, for checks).

A backend is a module with

* ``rows_view(array, name)``: checks an input array and returns its rows, `core.arrays.rows_view` or a variant that
  leaves arrays on the device;
* ``stage(views)``: brings checked rows to the device;
* ``first_nonfinite(rows, n_threads)`` and ``first_directionless_row(rows, transform, n_threads)``:
  the (row, column) that must not enter a sum, or None;
* ``Moments(widths, pairs, transform=, precision=)``: ``update(chunk, n_threads)``,
  ``get_state(complete, n_threads=1)``, ``set_state(state)``, ``n_samples``; the state is a dictionary of plain sums
  (moments/state.py has the formulas); ``moment_precisions`` names its precisions;
* ``dot_rows(rows, towards, n_threads)``: products of rows with a row and with themselves; not on the GPU;
* ``Panels``, ``mean_row``, ``centre_on_grid``, the sweeps over pairs of rows and the ranks of their entries:
  reference_pairwise.py has the formulas; ``tile_precisions`` names the precisions of ``Panels``;
* ``SmallSets(rows, features, ends, **options)``: distances within many sets of at most ``most_rows_of_small_sets``
  rows; where that is 0 there is no such class (pairwise/small_sets.py);
* ``writable_on_device(array, name)``: the device memory of an array of another library, for results, or None;
* ``on_device(k)``: a context in which this thread uses device k modulo the number of devices;
* ``narrow(rows, out, sums, n_summed)``: converts rows to the element type of a store (reference.py);
* ``centre(products, cross, pairs, sums, n_samples, n_threads)``: the matrices minus u v^T / n_samples in place, with
  the sums u and v of the rows of both sides; returns the sum of squares and the trace of each product, and the sum of
  squares of each cross product. On the GPU ``Moments.device`` has it, for the arrays of ``Moments.state_on_device()``;
* ``dot(a, b)`` and ``vector_matrix(a, matrix)``: float64 products, on every processor added in the same order; on the
  GPU ``Moments.device`` has them, in the order of cuBLAS;
* ``arborescences(scores, lengths, n_threads)``: trees from arc scores (reference_trees.py); not on the GPU.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import cache
from types import ModuleType

from ..core.errors import BackendError, OptionError

__all__ = ["available_backends", "default_threads", "get_backend"]

_MOST_CORES = 1 << 30


@cache
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
    """Import and return a backend.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "reference"}
        ``"auto"`` is the compiled engine, or plain NumPy if that cannot be imported. It is never a GPU, whose scores
        agree with those of the CPU up to rounding only, and which other users may need.

    Returns
    -------
    module

    Raises
    ------
    OptionError
        For an unknown name.
    BackendError
        If the backend cannot be used on this machine.

    Examples
    --------
    >>> from pyrepsim.backends import get_backend
    >>> get_backend("reference").name
    'reference'
    """
    if name == "auto":
        name = "reference" if _reason_without_cpu() else "cpu"
    if name not in _BACKENDS:
        raise OptionError(f"backend must be 'auto' or one of {', '.join(_BACKENDS)}: got {name!r}.")
    module, reason_without = _BACKENDS[name]
    if reason := reason_without():
        raise BackendError(
            f"backend {name!r} cannot be used: {reason}. "
            f"{'Pass' if name == 'cuda' else 'Reinstall pyrepsim, or pass'} another backend, for example "
            f"{'cpu' if name == 'cuda' else 'reference'!r}."
        )
    return _imported(module)


@cache  # not sys.modules, which may hold a module that another thread is still importing
def _imported(module: str) -> ModuleType:
    return importlib.import_module(module)


def available_backends() -> dict[str, str | None]:
    """The names of all backends, each with the reason why it cannot be used here, or None if it can.

    Returns
    -------
    dict of str to str or None

    Examples
    --------
    >>> from pyrepsim.backends import available_backends
    >>> print(available_backends()["reference"])
    None
    """
    return {name: reason_without() for name, (_, reason_without) in _BACKENDS.items()}


def default_threads() -> int:
    """The number of threads where none is given.

    It is the environment variable PYREPSIM_NUM_THREADS, or else OMP_NUM_THREADS, which other numerical libraries read
    too, or else the number of cores that this process may use, within the CPU quota of its cgroup.

    Returns
    -------
    int

    Raises
    ------
    OptionError
        If PYREPSIM_NUM_THREADS is not a positive whole number.

    Examples
    --------
    >>> from pyrepsim.backends import default_threads
    >>> default_threads() >= 1
    True
    """
    wanted = os.environ.get("PYREPSIM_NUM_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= 4096:
            raise OptionError(f"PYREPSIM_NUM_THREADS must be a positive whole number: got {wanted!r}.")
        return int(wanted)
    shared = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # of nested levels the first
    if shared.isdecimal() and 1 <= int(shared) <= 4096:  # OpenMP ignores other values too
        return int(shared)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return min(cores, _quota())


@cache
def _quota() -> int:
    """Return the cores that the CPU quota of the cgroup allows. It is read once: that takes as long as a small sum."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        return _MOST_CORES if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return _MOST_CORES  # no cgroup, or another format: the affinity mask decides
