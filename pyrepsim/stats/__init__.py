"""Moments: the sums from which every linear measure follows. And what chance does to them: intervals, p-values."""

from .block_moments import BlockMoments
from .blocks import RowBlocks, row_blocks
from .moments import MomentsSet, PairedMoments
from .pair import Pair, Side
from .resampling import Bootstrap, Jackknife
from .state import State

__all__ = [
    "BlockMoments",
    "Bootstrap",
    "Jackknife",
    "MomentsSet",
    "Pair",
    "PairedMoments",
    "RowBlocks",
    "Side",
    "State",
    "row_blocks",
]
