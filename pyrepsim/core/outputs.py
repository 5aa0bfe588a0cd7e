"""Files for the user, whole or not there: written under another name, renamed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import StoreError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`, renamed to it at the end: a reader never sees half a file.

    Folders on the way are made. Raises StoreError for what the system refuses; the old file then stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
        finally:
            if os.path.lexists(temporary):
                temporary.unlink()
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"A file must reach the disk whole: {path} did not ({error.strerror or error}). Choose a path in a "
            "folder that you may write to, on a disk with room."
        ) from error
