from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs

LAYERS = ("embeddings", "layer.0", "layer.1")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores over the same 3,000 rows, cut into different shards, every tenth row a special token."""
    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("stores")
    n = 3000
    rows = {
        "doc_id": np.arange(n) // 10,
        "position": np.arange(n) % 10,
        "token_id": rng.integers(0, 500, n),
        "flags": (np.arange(n) % 10 == 0).astype(np.uint8),
    }
    base, tuned = {}, {}
    for depth, name in enumerate(LAYERS):
        base[name] = (rng.standard_normal((n, 24)) + 2 * rng.standard_normal(24)).astype(np.float32)
        base[name][rows["flags"] == 1] += 40.0  # special tokens would be noticed
        turned = base[name] @ np.linalg.qr(rng.standard_normal((24, 24)))[0]
        tuned[name] = (turned + (0.2 + depth) * rng.standard_normal((n, 24))).astype(np.float32)
    plan = {"model": {"id": "base"}}
    return (
        rs.write_store(folder / "base", base, columns=rows, plan=plan, shard_rows=[1000, 2000]),
        rs.write_store(
            folder / "tuned", tuned, columns=rows, plan={"model": {"id": "tuned"}}, shard_rows=[700] * 4 + [200]
        ),
    )
