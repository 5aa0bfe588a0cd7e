"""Faults on demand: what the tests use to die, fill the disk or flip a bit at a chosen point of a write.

``PYREPSIM_FAULT=stage:shard:action``

Stages: ``begin, write, fsync, rename, dirsync, journal, seal, sealed``; ``write`` strikes half-way, the
others once that step is done. ``stage@layer`` (or ``@tokens``, ``@plan``, ``@journal``, ``@manifest``) picks
one file. The shard is a number, or ``*``. Actions: ``kill`` (SIGKILL), ``enospc`` (the disk is full),
``short`` (the system writes half of what it was given), ``flip`` (one bit changes between the checksum and
the disk).
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "PYREPSIM_FAULT"


def strike(stage: str, shard: int | None, what: str = "") -> str | None:
    """Carry out the fault asked for at this point, or return its name for the caller to carry out."""
    wish = os.environ.get(VARIABLE)
    if not wish:
        return None
    where, number, action = wish.rsplit(":", 2)
    if where not in (stage, f"{stage}@{what}") or number not in ("*", str(shard)):
        return None
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return action
