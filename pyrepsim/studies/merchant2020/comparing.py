"""Comparisons of two stores as the scale asks for them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...analysis.profiling import profile
from ...comparison import compare
from ...core.errors import DegenerateError
from ...inference import Jackknife
from ...results import Scores
from ...store import ActivationStore, open_store, write_store
from .scales import Similarity

__all__ = ["compared", "without_rogue"]

log = logging.getLogger("pyrepsim.studies")


def compared(
    x: Any, y: Any, chosen: Similarity, *, measures: Sequence[str] | None = None, layers: str = "same"
) -> Scores:
    """All measures, with jackknife intervals over documents where the scale has them; of `layers` "all" values."""
    a, b = map(_opened, (x, y))
    wanted = list(chosen.measures) if measures is None else list(measures)
    plain = wanted if layers == "all" else [name for name in wanted if name in chosen.values_only]
    timed = [name for name in wanted if name not in plain]
    found = Scores()
    for names, interval in ((timed, Jackknife(blocks=chosen.blocks)), (plain, None)):
        found += _measured(a, b, names, layers=layers, interval=interval, progress=False)
    return found


def _measured(a: ActivationStore, b: ActivationStore, names: Sequence[str], **how: Any) -> Scores:
    """A measure that is not defined on these rows (PWCCA of fewer directions than features) costs no other one."""
    if not names:
        return Scores()
    try:
        scores = compare(a, b, list(names), **how)
    except DegenerateError as error:
        if len(names) > 1:
            return sum((_measured(a, b, [name], **how) for name in names), Scores())
        log.warning("%s is left out: %s", names[0], error)
        return Scores()
    assert isinstance(scores, Scores)  # two stores
    return scores


def without_rogue(x: Path, y: Path, measures: Sequence[str], chosen: Similarity, folder: Path) -> Scores:
    """The same without the rogue dimensions of either side (Timkey & van Schijndel 2021), layer by layer."""
    a, b = open_store(x), open_store(y)
    rogue = [{layer.layer: layer.rogue_dimensions for layer in profile(store, progress=False)} for store in (a, b)]
    found = Scores()
    for layer in a.layers:
        dropped = sorted({*rogue[0][layer], *rogue[1][layer]})
        sides = []
        for name, store in (("x", a), ("y", b)):
            out = folder / f"without-rogue-{name}"
            kept = np.delete(np.asarray(store[layer]), dropped, axis=1)
            columns = {column: store.columns[column] for column in ("doc_id", "position", "token_id", "flags")}
            sides.append(write_store(out, {layer: kept}, columns=columns, dtype=str(kept.dtype), overwrite=True))
        found += compared(sides[0], sides[1], chosen, measures=measures)
    for name in ("x", "y"):
        shutil.rmtree(folder / f"without-rogue-{name}", ignore_errors=True)
    return found


def _opened(side: Any) -> ActivationStore:
    return side if isinstance(side, ActivationStore) else open_store(side)
