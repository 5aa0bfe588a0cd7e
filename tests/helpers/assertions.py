"""Assertions on numbers: errors compared with those of a naive program, or relative to a reference."""

from __future__ import annotations

import numpy as np

ALLOWED_EPS = 8
"""Units in the last place by which two correct programs may differ."""


def _eps(precision) -> float:
    if str(precision) == "bfloat16":
        return 2.0**-7
    return float(np.finfo(np.dtype(precision)).eps)


def _largest(values) -> float:
    values = np.abs(np.asarray(values, dtype=np.float64))
    return float(values.max()) if values.size else 0.0


def _error(value, reference) -> float:
    value, reference = np.asarray(value, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if value.shape != reference.shape:
        raise AssertionError(f"shapes differ: {value.shape} and reference {reference.shape}")
    if not (np.isfinite(value).all() and np.isfinite(reference).all()):
        raise AssertionError(f"not finite: value {value}, reference {reference}")
    return _largest(value - reference)


def assert_no_worse_than(ours, naive, reference, factor: float = 2.0, *, precision="float64", scale=None) -> None:
    """Our error is at most `factor` times that of a naive program, both against the reference.

    Error = largest absolute difference over the array. In addition 8 eps of `precision` times `scale` (default: the
    largest |reference|) are allowed, because the error of a naive program can be zero by chance.
    """
    scale = _largest(reference) if scale is None else scale
    tolerance = ALLOWED_EPS * _eps(precision) * scale
    our_error, naive_error = _error(ours, reference), _error(naive, reference)
    allowed = factor * naive_error + tolerance
    if not our_error <= allowed:
        raise AssertionError(
            f"our error {our_error:.3e} exceeds {factor} x naive error {naive_error:.3e} + tolerance {tolerance:.3e}"
        )


def assert_relative(value, reference, tol: float, *, scale=None) -> None:
    """Largest |value - reference| over the array is at most tol * scale; scale is the largest |reference|.

    If the exact value is zero, pass the scale: an error relative to zero is undefined.
    """
    scale = _largest(reference) if scale is None else scale
    error = _error(value, reference)
    if not error <= tol * scale:
        relative = error / scale if scale else float("inf")
        detail = f"(value {value}, reference {reference})"
        raise AssertionError(f"relative error {relative:.3e} exceeds {tol:.1e} {detail}")
