"""`plan_extraction` of batches says what `extract` then writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import pyrepsim as rs
from pyrepsim.core.errors import OptionError, StoreError
from pyrepsim.extraction import ItemPlan, plan_extraction

from .own_modules import CNN


def images(n: int = 22) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def batches() -> list[torch.Tensor]:
    return list(images().split(4))


@pytest.mark.parametrize("rows", ["item", "token"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_plan_is_that_of_the_store(batches: Any, rows: str, dtype: str, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr("pyrepsim.extraction.item_runs.SHARD_TOKENS", 8 if rows == "item" else 300)
    options: dict[str, Any] = {"layers": ["second"], "rows": rows, "dtype": dtype}
    plan = plan_extraction(CNN(), batches, **options)
    assert isinstance(plan, ItemPlan)
    assert not list(tmp_path.iterdir())
    torch.manual_seed(0)
    module = CNN()
    store = rs.extract(module, batches, tmp_path / "s", **options)
    assert store is not None
    assert (plan.n_items, plan.n_rows, plan.n_shards) == (22, store.n_rows, len(store.shard_rows))
    assert plan.n_bytes == plan.n_bytes_left == store.n_bytes
    assert plan.estimated_seconds > 0
    assert "22 items" in repr(plan)
    again = plan_extraction(module, batches, out=tmp_path / "s", **options)
    assert (again.n_bytes_left, again.estimated_seconds) == (0, 0.0)
    half = plan_extraction(module, batches, worker="0/2", **options)
    assert 0 < half.n_bytes_left < half.n_bytes
    with pytest.raises(StoreError, match="differs in"):
        plan_extraction(module, batches, out=tmp_path / "s", **{**options, "layers": ["head"]})


def test_a_loader_that_knows_its_length_is_not_read(monkeypatch: pytest.MonkeyPatch):
    read = []

    class Images(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            read.append(index)
            return super().__getitem__(index)

    loader = DataLoader(Images(images(100)), batch_size=4)
    plan = plan_extraction(CNN(), loader, layers=["head"])
    assert plan.n_items == 100
    assert len(set(read)) <= 8, "the first batches alone, which torch may fetch ahead"


def test_options_are_those_of_extract(batches: Any):
    function = plan_extraction(CNN(), batches, forward=lambda module, batch: {"a": module(batch)})
    assert function.n_rows == 22
    with pytest.raises(OptionError, match="ids must name every item: got 3 for 22"):
        plan_extraction(CNN(), batches, layers=["head"], ids=["a", "b", "c"])
    with pytest.raises(OptionError, match="words is an option for texts"):
        plan_extraction(CNN(), batches, layers=["head"], words="first")
    with pytest.raises(OptionError, match="got texts in their place"):
        plan_extraction(CNN(), ["a text"], rows="item")
    with pytest.raises(OptionError, match="dtype must be one of"):
        plan_extraction(CNN(), batches, layers=["head"], dtype="int8")
