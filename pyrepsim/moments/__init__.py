"""Moments: sums of rows and of products of rows, from which every linear measure is computed."""

from .accumulators import MomentsSet
from .block_moments import BlockMoments, RowBlocks, row_blocks
from .pair import Pair, Side
from .paired import PairedMoments
from .state import State

__all__ = ["BlockMoments", "MomentsSet", "Pair", "PairedMoments", "RowBlocks", "Side", "State", "row_blocks"]
