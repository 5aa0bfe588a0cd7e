"""Measures by name, for texts such as ``"SVCCA(variance=0.9)"``."""

from __future__ import annotations

import inspect

from ..core.calls import build_called
from .base import Measure

__all__ = ["all_measures", "parse_measure"]


def all_measures() -> dict[str, type[Measure]]:
    """Return every measure by name: all concrete public subclasses of `Measure` that have been defined.

    Examples
    --------
    >>> from pyrepsim.measures import all_measures
    >>> list(all_measures())[:3]
    ['CCA', 'CKNNA', 'Concentricity']
    """
    measures: dict[str, type[Measure]] = {}
    waiting = Measure.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not (kind.__name__.startswith("_") or inspect.isabstract(kind)):
            measures[kind.__name__] = kind
    return dict(sorted(measures.items()))


def parse_measure(text: str) -> Measure:
    """Return the measure that a text such as ``"CCA"`` or ``"SVCCA(variance=0.99)"`` describes.

    Parameters
    ----------
    text : str
        The name of a measure, with keyword options in parentheses. Values are literals; nothing is evaluated.

    Raises
    ------
    OptionError
        If there is no such measure or option.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> rs.parse_measure("SVCCA(components=20)")
    SVCCA(variance=0.99, components=20)
    """
    return build_called(text, all_measures(), "measure", "SVCCA(variance=0.99)")
