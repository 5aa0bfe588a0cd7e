"""Progress bars, shown only on a terminal unless requested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import printable

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["progress_bar"]

_DELAY_SECONDS = 0.5


class _NoBar:
    """A progress bar that is not shown: making one of tqdm takes as long as comparing small arrays."""

    disable = True

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def update(self, *_args: object, **_options: object) -> None:
        """Do nothing, as every method of this class."""

    set_description = set_postfix = set_postfix_str = close = update


def progress_bar(
    total: int, progress: bool | None, *, desc: str, unit: str = " rows", transient: bool = False
) -> tqdm | _NoBar:
    """Return a progress bar.

    Parameters
    ----------
    total : int
        The number of units of work.
    progress : bool or None
        Whether to show the bar; None shows it on a terminal only.
    desc, unit : str
        What is done, and what is counted.
    transient : bool
        Show the bar after half a second only, and remove it at the end. For one of many short tasks.
    """
    if progress is False:
        return _NoBar()
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        unit=unit,
        unit_scale=True,
        desc=printable(desc),
        disable=None if progress is None else not progress,
        leave=not transient,
        delay=_DELAY_SECONDS if transient else 0,
    )
