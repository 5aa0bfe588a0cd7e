"""Progress of an extraction in tokens per second: on a terminal, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def token_bar(total: int, wanted: bool | None, title: str) -> tqdm:
    """A bar that counts useful tokens; None shows it only if stderr is a terminal."""
    from tqdm.auto import tqdm

    disable = None if wanted is None else not wanted
    return tqdm(total=total, unit="tok", unit_scale=True, desc=title, disable=disable)
