"""Figures of a matrix of comparisons: heat map, dendrogram and multidimensional scaling."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ShapeError, check_choice
from .figures import save
from .lines import name_ticks
from .style import COLOURS, INK, figure_and_axes, styled, title_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .matrix import ComparisonMatrix

__all__ = ["dendrogram", "heat_map", "mds"]

_MOST_NAMED = 40
"""With more representations, not every one is named."""


def heat_map(matrix: ComparisonMatrix, path: Any, ax: Any, title: Any) -> Figure:
    """Draw the values: rows are X and columns Y."""
    size = 0.3 * min(len(matrix.names), _MOST_NAMED)
    with styled():
        figure, ax = figure_and_axes(ax, size + 2.6, size + 1.6)
        image = ax.imshow(matrix.values, cmap="cividis", aspect="equal")
        name_ticks(ax.xaxis, list(matrix.names), _MOST_NAMED)
        name_ticks(ax.yaxis, list(matrix.names), _MOST_NAMED)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
        bar.outline.set_visible(False)
    return _finished(figure, ax, matrix.caption if title is None else title, path)


def dendrogram(matrix: ComparisonMatrix, path: Any, method: str, ax: Any, title: Any) -> Figure:
    """Draw the hierarchical clustering by the distances of the matrix."""
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    check_choice("method", method, ("average", "single", "complete", "weighted"))
    _check_several(matrix)
    linkage = hierarchy.linkage(squareform(matrix.distances(), checks=False), method)
    tree = hierarchy.dendrogram(linkage, no_plot=True)
    with styled():
        figure, ax = figure_and_axes(ax, 6.4, 0.22 * min(len(matrix.names), 3 * _MOST_NAMED) + 1.4)
        for x, y in zip(tree["dcoord"], tree["icoord"], strict=True):
            ax.plot(x, y, color=COLOURS[0], linewidth=1.1)
        ax.set_yticks([5 + 10 * place for place in range(len(matrix.names))])
        ax.set_yticklabels([matrix.names[leaf] for leaf in tree["leaves"]])
        ax.set_xlim(left=0)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(f"distance ({method} linkage)")
    return _finished(figure, ax, matrix.caption if title is None else title, path)


def mds(matrix: ComparisonMatrix, path: Any, ax: Any, title: Any) -> Figure:
    """Draw each representation as a point of classical multidimensional scaling."""
    _check_several(matrix)
    points = np.zeros((len(matrix.names), 2))
    found = matrix.coordinates(2)
    points[:, : found.shape[1]] = found
    with styled():
        figure, ax = figure_and_axes(ax, 6.0, 5.2)
        ax.scatter(points[:, 0], points[:, 1], s=22, color=COLOURS[0])
        for name, point in zip(matrix.names, points, strict=True):
            ax.annotate(name, tuple(point), (4, 3), textcoords="offset points", fontsize=8, color=INK)
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xlabel("first axis")
        ax.set_ylabel("second axis")
    return _finished(figure, ax, matrix.caption if title is None else title, path)


def _check_several(matrix: ComparisonMatrix) -> None:
    if len(matrix.names) < 2:
        raise ShapeError("this figure needs at least two representations: got one. Pass more to compare_all.")


def _finished(figure: Figure, ax: Axes, title: str, path: str | os.PathLike[str] | None) -> Figure:
    if title:
        title_axes(ax, title, indent=1.2)
    if path is not None:
        save(figure, path)
    return figure
