"""The backends that tests of sums run over: all that can work here, and the CUDA one emulated on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyrepsim.backends import _BACKENDS, available_backends

EMULATED = "cuda-emulated"
CUDA = [EMULATED] if available_backends()["cuda"] else [EMULATED, "cuda"]
EVERY = ["cpu", "reference", *CUDA]


def runs(cases: Iterable[str], few: Sequence[str]) -> list[tuple[str, str]]:
    """(case, backend) of every backend: all cases, or the few for which the emulator, 100 times slower, has time."""
    return [(case, backend) for backend in EVERY for case in (few if backend == EMULATED else cases)]


def register_emulated() -> None:
    """Let ``backend="cuda-emulated"`` be asked for; it is compiled when first used."""
    _BACKENDS[EMULATED] = ("tests.cuda_emulation.backend", lambda: None)
