"""Faults on demand: what the tests use to die, fill the disk or flip a bit at a chosen point of a write.

``PYREPSIM_FAULT=stage:shard:action``

Stages: ``begin, write, fsync, rename, dirsync, journal, seal, sealed``; ``write`` strikes half-way, the
others once that step is done. ``stage@layer`` (or ``@tokens``, ``@plan``, ``@journal``, ``@manifest``) picks
one file. The shard is a number, or ``*``. Actions: ``kill`` (SIGKILL), ``enospc`` (the disk is full),
``short`` (the system writes half of what it was given), ``flip`` (one bit changes between the checksum and
the disk).

This is for pyrepsim's own tests. A value that is not of this form, as a shell may have inherited, does nothing.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import re
import signal

VARIABLE = "PYREPSIM_FAULT"

log = logging.getLogger("pyrepsim.store")

_WISH = re.compile(
    r"((?:begin|write|fsync|rename|dirsync|journal|seal|sealed)(?:@[A-Za-z0-9._-]+)?):(\*|\d+):(kill|enospc|short|flip)"
)


def strike(stage: str, shard: int | None, what: str = "") -> str | None:
    """Carry out the fault asked for at this point, or return its name for the caller to carry out."""
    wish = _parsed(os.environ.get(VARIABLE, ""))
    if wish is None:
        return None
    where, number, action = wish
    if where not in (stage, f"{stage}@{what}") or number not in ("*", str(shard)):
        return None
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return action


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> tuple[str, str, str] | None:
    match = _WISH.fullmatch(text)
    if match is None:
        if text:
            log.warning("%s=%r asks for no fault that the tests know: nothing is done", VARIABLE, text[:80])
        return None
    return match[1], match[2], match[3]
