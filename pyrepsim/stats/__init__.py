"""Moments: the sums from which every linear measure follows."""

from .moments import MomentsSet, PairedMoments
from .pair import Pair, Side
from .state import State

__all__ = ["MomentsSet", "Pair", "PairedMoments", "Side", "State"]
