"""Progress on a terminal, silence elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["progress_bar"]

_PATIENCE = 0.5


def progress_bar(total: int, wanted: bool | None, *, desc: str, unit: str = " rows", passing: bool = False) -> tqdm:
    """A bar that counts ``unit`` and their rate; ``wanted=None`` shows it on a terminal only.

    passing : one of many: it appears after half a second and leaves no line behind.
    """
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        unit=unit,
        unit_scale=True,
        desc=desc,
        disable=None if wanted is None else not wanted,
        leave=not passing,
        delay=_PATIENCE if passing else 0,
    )
