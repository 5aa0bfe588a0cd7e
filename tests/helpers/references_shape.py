"""Procrustes and the generalised shape metrics, by explicit alignment of the representations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .references_base import RANK_TOL, column_space, svd_of_data, unit_frobenius


class Alignment(NamedTuple):
    """similarity = cos(angle); distance = |A - B Q|, sides of norm 1, = sqrt(2 - 2 cos) = 2 sin(angle/2)."""

    similarity: float
    angle: float
    distance: float


def _align(A: np.ndarray, B: np.ndarray) -> Alignment:
    """Best rotation of B onto A, both of Frobenius norm 1 (the narrower one padded with zeros).

    distance and angle come from the residual itself, so that they are exact near 0, where arccos is not.
    """
    width = max(A.shape[1], B.shape[1])
    A = np.pad(A, ((0, 0), (0, width - A.shape[1])))
    B = np.pad(B, ((0, 0), (0, width - B.shape[1])))
    U, s, Vt = np.linalg.svd(B.T @ A)
    distance = float(np.linalg.norm(A - B @ (U @ Vt)))
    return Alignment(float(s.sum()), float(2 * np.arcsin(min(1.0, distance / 2))), distance)


def procrustes(X, Y) -> Alignment:
    """Normalised Bures similarity |Xc^T Yc|_* / (|Xc| |Yc|), its angle, the distance of unit-norm sides.

    Ding et al. 2021; Williams et al. 2021 (alpha = 1); Harvey et al. 2024 (the cosine of the Riemannian shape
    distance is the normalised Bures similarity).
    """
    return _align(unit_frobenius(X), unit_frobenius(Y))


def partially_whitened(X, alpha: float, *, scale: str = "none", rank_tol: float = RANK_TOL) -> np.ndarray:
    """Xc (alpha I + (1 - alpha) (Xc^T Xc)^-1/2) = U (alpha s + (1 - alpha)) V^T over the numerical rank.

    scale="none": Xc unchanged, as in Williams et al. 2021 and netrep; for 0 < alpha < 1 the result then
    depends on the units and on n. scale="unit": Xc of Frobenius norm 1 first. scale="mean": Xc of Frobenius
    norm sqrt(r) first (mean squared singular value 1), which is free of units, of n, and of the width.
    """
    if alpha == 0.0:
        return column_space(X, rank_tol)
    U, s, Vt = svd_of_data(X)
    keep = s > rank_tol * s[0]
    U, s, Vt = U[:, keep], s[keep], Vt[keep]
    if scale == "unit":
        s = s / np.linalg.norm(s)
    elif scale == "mean":
        s = s * np.sqrt(len(s)) / np.linalg.norm(s)
    elif scale != "none":
        raise ValueError(f"scale is none, unit or mean, not {scale!r}")
    return (U * (alpha * s + (1 - alpha))) @ Vt


def shape_metric(X, Y, alpha: float, *, scale: str = "none", rank_tol: float = RANK_TOL) -> Alignment:
    """Angular shape distance of Williams et al. 2021: angle of the best alignment after partial whitening.

    alpha = 1: the Procrustes angle. alpha = 0: arccos(sum rho / sqrt(rx ry)); with rx = ry, arccos(mean rho).
    """
    sides = [partially_whitened(side, alpha, scale=scale, rank_tol=rank_tol) for side in (X, Y)]
    return _align(*(side / np.linalg.norm(side) for side in sides))
