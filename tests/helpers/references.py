"""Each measure from its paper, in float64 or better, slow and simple, as a reference for tests. Import from here.

Inputs are raw arrays X (n, d_x), Y (n, d_y) with matched rows, of any float type. pyrepsim is not imported.
"""

from .references_base import LONG, RANK_TOL, as_float64, centre, column_space, rank, svd_of_data, unit_frobenius
from .references_cca import (
    cca,
    cca_correlations,
    components_for_variance,
    pwcca,
    pwcca_weights,
    ridge_cca,
    ridge_cca_correlations,
    svcca,
    svcca_correlations,
)
from .references_kernel import debiased_cka, gram, hsic_unbiased, linear_cka, rv2
from .references_profile import (
    effective_rank,
    feature_means,
    feature_sds,
    participation_ratio,
    rogue_dimensions,
    row_norms,
)
from .references_regression import feature_correlations, gulp, linear_predictivity, max_correlation, ridge_smoother
from .references_rsa import (
    COMPARATORS,
    anisotropy,
    centred_for_cka,
    compare_cosine,
    compare_cosine_cov,
    compare_cosine_cov_brute,
    compare_pearson,
    cosine_contributions,
    rdm,
    rdm_spread,
    rsa,
)
from .references_shape import Alignment, partially_whitened, procrustes, shape_metric

__all__ = [
    "COMPARATORS",
    "LONG",
    "RANK_TOL",
    "Alignment",
    "anisotropy",
    "as_float64",
    "cca",
    "cca_correlations",
    "centre",
    "centred_for_cka",
    "column_space",
    "compare_cosine",
    "compare_cosine_cov",
    "compare_cosine_cov_brute",
    "compare_pearson",
    "components_for_variance",
    "cosine_contributions",
    "debiased_cka",
    "effective_rank",
    "feature_correlations",
    "feature_means",
    "feature_sds",
    "gram",
    "gulp",
    "hsic_unbiased",
    "linear_cka",
    "linear_predictivity",
    "max_correlation",
    "partially_whitened",
    "participation_ratio",
    "procrustes",
    "pwcca",
    "pwcca_weights",
    "rank",
    "rdm",
    "rdm_spread",
    "ridge_cca",
    "ridge_cca_correlations",
    "ridge_smoother",
    "rogue_dimensions",
    "row_norms",
    "rsa",
    "rv2",
    "shape_metric",
    "svcca",
    "svcca_correlations",
    "svd_of_data",
    "unit_frobenius",
]
