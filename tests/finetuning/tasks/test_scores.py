"""Scores of predictions at the edges: predictions that are constant up to rounding."""

from __future__ import annotations

import numpy as np

from pyrepsim.finetuning.tasks.scores import regression_scores


def test_predictions_that_differ_by_rounding_alone_are_constant():
    gold = np.arange(20.0)
    for predicted in (2.5 + 1e-7 * np.sin(gold), np.zeros(20), np.float32(2.5) + 2.0**-22 * np.cos(gold)):
        assert regression_scores(gold, predicted) == {"pearson": 0.0, "spearman": 0.0}
    assert regression_scores(gold, 2.5 + 1e-5 * gold)["spearman"] == 1.0
