"""The README says what is true: its example runs, its table is the declarations'."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.measures import Invariance

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SHOWN = [
    rs.CCA(),
    rs.SVCCA(),
    rs.PWCCA(),
    rs.LinearCKA(),
    rs.RV2(),
    rs.KernelCKA(),
    rs.DistanceCorrelation(),
    rs.Procrustes(),
    rs.ShapeMetric(alpha=0.5),
    rs.LinearPredictivity(),
    rs.GULP(),
    rs.MaxCorrelation(),
    rs.Matching(),
    rs.EigenspaceOverlap(),
    rs.MutualKNN(),
    rs.MutualKNN(metric="euclidean"),
    rs.JaccardKNN(),
    rs.RankSimilarity(),
    rs.CycleKNN(),
    rs.CKNNA(),
    rs.SecondOrderCosine(),
    rs.Uniformity(),
    rs.Concentricity(),
    rs.Magnitude(),
    rs.MetricSpaceMagnitude(),
    *(rs.RSA(metric=metric) for metric in ("cosine", "correlation", "euclidean", "manhattan", "mahalanobis", "dot")),
]


def truth_table() -> str:
    """Markdown: one row a measure, x / y side; what tests/measures/test_invariances.py checks."""
    kinds = list(Invariance)
    lines = [
        "| measure | " + " | ".join(k.name.lower() for k in kinds) + " | symmetric |",
        "| --- |" + " :-: |" * (len(kinds) + 1),
    ]
    for measure in SHOWN:
        cells = []
        for kind in kinds:
            x, y = ("✓" if kind in side else "–" for side in (measure.invariant_x, measure.invariant_y))
            cells.append(x if x == y else f"{x} / {y}")
        lines.append(f"| `{measure}` | " + " | ".join(cells) + f" | {'✓' if measure.symmetric else '–'} |")
    return "\n".join(lines)


def test_the_table_of_invariances_is_the_declarations():
    table = re.search(r"<!-- invariances -->\n(.*?)\n<!-- /invariances -->", README, re.DOTALL)
    assert table is not None, "README.md needs the markers <!-- invariances --> and <!-- /invariances -->"
    assert table.group(1).strip() == truth_table(), f"paste this between the markers:\n{truth_table()}"


@pytest.fixture
def small_world(monkeypatch, tmp_path, rng):
    """What the example's names stand for, small: X and Y, sentences, and models that need no network."""
    monkeypatch.chdir(tmp_path)
    layers = {f"layer.{i}": rng.standard_normal((900, 16)).astype(np.float32) for i in range(12)}
    layers = {"embeddings": rng.standard_normal((900, 16)).astype(np.float32), **layers}

    def extract(model, texts, *, out, **_):
        noisy = {k: v + 0.3 * rng.standard_normal(v.shape).astype(np.float32) for k, v in layers.items()}
        return rs.write_store(out, noisy, plan={"model": {"id": model}})

    def compare_models(model_x, model_y, texts, measures, **options):
        return rs.compare(extract(model_x, texts, out="x"), extract(model_y, texts, out="y"), measures, **options)

    real = rs.PairedMoments
    monkeypatch.setattr(rs, "extract", extract, raising=False)
    monkeypatch.setattr(rs, "compare_models", compare_models, raising=False)
    monkeypatch.setattr(rs, "PairedMoments", lambda *_: real(16, 16), raising=False)
    X = rng.standard_normal((300, 10))
    return {"X": X, "Y": X + rng.standard_normal((300, 10)), "sentences": ["One."], "measures": [rs.LinearCKA()]}


def test_the_first_example_runs(small_world, tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    exec(compile(code.group(1), "README.md", "exec"), small_world)
    assert (tmp_path / "layers.svg").stat().st_size > 1000


def test_every_public_name_is_there():
    for name in rs.__all__:
        assert getattr(rs, name) is not None
    assert set(rs.__all__) <= set(dir(rs))
    with pytest.raises(AttributeError, match="attribute"):
        rs.no_such_name  # noqa: B018
