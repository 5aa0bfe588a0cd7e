"""The backends that tests of sums run on: all that this machine has, and the CUDA backend emulated on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyrepsim.backends import _BACKENDS, available_backends

EMULATED = "cuda-emulated"
CUDA = [EMULATED] if available_backends()["cuda"] else [EMULATED, "cuda"]
EVERY = ["cpu", "reference", *CUDA]


def runs(cases: Iterable[str], few: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (case, backend): all cases on each backend, but only `few` on the emulator, which is 100 times slower."""
    return [(case, backend) for backend in EVERY for case in (few if backend == EMULATED else cases)]


def register_emulated() -> None:
    """Make ``backend="cuda-emulated"`` available; it is compiled at first use."""
    _BACKENDS[EMULATED] = ("tests.cuda_emulation.backend", lambda: None)
