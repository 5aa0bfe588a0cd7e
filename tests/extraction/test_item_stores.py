"""Batches of items in stores and comparisons: resuming, workers, identity of rows, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import pyrepsim as rs
from pyrepsim.core.errors import (
    LayerError,
    ModelError,
    NonFiniteError,
    OptionError,
    RowMismatchError,
    ShapeError,
    TextError,
)
from pyrepsim.extraction import item_runs
from tests.helpers.architectures import INPUTS, build

from .own_modules import CNN, images, loader

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own


# ---- stores ------------------------------------------------------------------------------------------------------


class Failing(torch.nn.Module):
    """Fails in a chosen forward pass, and counts them."""

    def __init__(self, after: int | None) -> None:
        super().__init__()
        self.inner, self.calls, self.after = CNN(), 0, after

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.after is not None and self.calls > self.after:
            raise RuntimeError("out of memory")
        return self.inner(images)


def test_a_stopped_extraction_goes_on_with_the_missing_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(item_runs, "SHARD_TOKENS", 4)
    whole = rs.extract(Failing(None), loader(), tmp_path / "whole", layers=["inner.head"])
    assert whole is not None
    assert whole.shard_rows == (4, 4, 3)
    with pytest.raises(RuntimeError, match="out of memory"):
        rs.extract(Failing(4 + 2), loader(), tmp_path / "part", layers=["inner.head"])
    assert len(list((tmp_path / "part" / "journal").glob("0*.json"))) == 2
    model = Failing(None)
    part = rs.extract(model, loader(), tmp_path / "part", layers=["inner.head"])
    assert part is not None
    assert part.digest == whole.digest
    assert model.calls == 4 + 1  # four of the first batch, to find layers and to check rows; then the missing shard
    again = Failing(None)
    assert rs.extract(again, loader(), tmp_path / "part", layers=["inner.head"]).digest == whole.digest  # type: ignore[union-attr]
    assert again.calls == 4
    with pytest.raises(OSError, match="plan.batches.first"):
        rs.extract(
            Failing(None),
            DataLoader(TensorDataset(images(11, seed=2)), batch_size=4),
            tmp_path / "part",
            layers=["inner.head"],
        )


def test_workers_share_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(item_runs, "SHARD_TOKENS", 4)
    whole = rs.extract(CNN(), loader(), tmp_path / "whole", layers=["head"])
    assert rs.extract(CNN(), loader(), tmp_path / "parts", layers=["head"], worker="1/2") is None
    parts = rs.extract(CNN(), loader(), tmp_path / "parts", layers=["head"], worker="0/2")
    assert whole is not None
    assert parts is not None
    assert parts.digest == whole.digest


def test_rows_are_matched_by_item_and_id(tmp_path: Path):
    ids = [f"{i}.png" for i in range(11)]
    layers = {"layers": ["second", "head"]}
    x = rs.extract(CNN(), loader(), tmp_path / "x", ids=ids, **layers)
    y = rs.extract(CNN(1), loader(size=3), tmp_path / "y", ids=ids, **layers)
    assert x is not None
    assert y is not None
    scores = rs.compare(x, y, "LinearCKA(debiased=True)", interval="Jackknife")
    assert [score.layer_x for score in scores] == ["second", "head"]
    assert all(score.interval is not None and score.n_samples == 11 for score in scores)
    assert [doc["key"] for doc in x.docs()][:2] == ["0.png", "1.png"]
    other = rs.extract(CNN(1), loader(), tmp_path / "z", ids=[*ids[:-1], "other.png"], **layers)
    with pytest.raises(RowMismatchError, match="document 10, position 0"):
        rs.compare(x, other, "LinearCKA")
    fewer = rs.extract(CNN(1), loader(10), tmp_path / "w", ids=ids[:10], **layers)
    with pytest.raises(RowMismatchError):
        rs.compare(x, fewer, "LinearCKA")
    with pytest.raises(OptionError, match="ids must name every item: got 3 for 11"):
        rs.extract(CNN(), loader(), tmp_path / "v", ids=ids[:3], **layers)


def test_values_beyond_float16_are_stored_in_float32(tmp_path: Path):
    model = CNN()
    model.head.weight.data *= 1e6
    store = rs.extract(model, loader(), tmp_path / "s", layers=["second", "head"])
    assert store is not None
    assert (store["second"].dtypes, store["head"].dtypes) == (("float16",), ("float32",))
    model.head.weight.data[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"in layer 'head' for item 0"):
        rs.extract(model, loader(), tmp_path / "t", layers=["head"])


def test_the_module_is_as_it_was(tmp_path: Path):
    model = CNN().train()
    model.stem[0].register_forward_hook(lambda *_: None)
    model(images()).sum().backward()
    gradient = model.head.weight.grad.clone()  # type: ignore[union-attr]
    rs.extract(model, loader(), tmp_path / "s", layers=["second"])
    assert all(child.training for child in model.modules())
    assert sum(len(child._forward_hooks) for child in model.modules()) == 1
    assert torch.equal(model.head.weight.grad, gradient)  # type: ignore[arg-type]


# ---- comparisons --------------------------------------------------------------------------------------------------


def test_compare_models_gives_the_scores_of_stores(tmp_path: Path):
    models, layers = (CNN(), CNN(1)), ["second", ("stem.1", "head"), "mixed"]
    stores = [
        rs.extract(
            model, loader(60, 7), tmp_path / str(side), layers=["stem.1", "second", "mixed", "head"], dtype="float32"
        )
        for side, model in enumerate(models)
    ]
    wanted = {(s.layer_x, s.layer_y): s.value for s in rs.compare(*stores, ["LinearCKA", "Procrustes"], layers=layers)}
    scores = rs.compare_models(*models, loader(60, 7), ["LinearCKA", "Procrustes"], layers=layers)
    found = {(s.layer_x, s.layer_y): s.value for s in scores}
    assert list(found) == [("second", "second"), ("stem.1", "head"), ("mixed", "mixed")]
    assert max(abs(found[key] - wanted[key]) for key in wanted) < 1e-9
    assert scores[0].n_samples == 60
    assert scores[0].provenance["rows"] == "item"
    tokens = rs.compare_models(*models, loader(60, 7), "LinearCKA", layers=["stem.1"], rows="token")
    assert tokens[0].n_samples == 60 * 36


def test_two_models_read_their_own_part_of_a_batch():
    vit, cnn = build("vit"), CNN()
    batches = [{"vit": INPUTS["image"](30), "cnn": images(30)}]
    scores = rs.compare_models(
        vit,
        cnn,
        batches,
        "LinearCKA(debiased=True)",
        forward=(lambda m, b: m(**b["vit"], output_hidden_states=True), lambda m, b: m(b["cnn"])),
        layers=[("layer.0", "second"), ("layer.1", "output")],
    )
    assert [(s.layer_x, s.layer_y) for s in scores] == [("layer.0", "second"), ("layer.1", "output")]
    same = rs.compare_models(vit, build("vit", seed=1), [INPUTS["image"](30)], "LinearCKA", layers="all")
    assert len(same) == 9
    with pytest.raises(RowMismatchError, match="Both models must give the same rows: for item 0 .* gives 5 and .* 36"):
        rs.compare_models(
            vit, cnn, batches, "LinearCKA", rows="token", layers=[("layer.0", "stem.0")],
            forward=(lambda m, b: m(**b["vit"], output_hidden_states=True), lambda m, b: m(b["cnn"])),
        )  # fmt: skip


# ---- what is refused ------------------------------------------------------------------------------------------------


class RandomImages(Dataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Tensor:
        return torch.randn(3, 8, 8)


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (lambda: iter([images()]), {"rows": "item"}, OptionError, "can be read once only"),
        (lambda: DataLoader(images(), batch_size=4, shuffle=True), {}, OptionError, "Use shuffle=False"),
        (lambda: DataLoader(RandomImages(), batch_size=4), {}, OptionError, "the first one differs the second time"),
        (lambda: ["a text"], {"rows": "item"}, OptionError, "are for batches of tensors: got texts in their place"),
        (lambda: 3, {"rows": "item"}, OptionError, "are for batches of tensors: got int"),
        (list, {"forward": lambda m, b: m(b)}, TextError, "at least one batch"),
        (lambda: [torch.tensor(1.0)], {}, TextError, r"got a Tensor of shape \(\)"),
        (images, {"rows": "word"}, OptionError, "rows must be one of 'document', 'item', 'token', 'flatten'"),
        (images, {"layers": "all"}, LayerError, "has the modules stem, second, mixed, head, and those in them"),
        (images, {"layers": ["sten.0"]}, LayerError, "Did you mean 'stem.0'"),
        (images, {"layers": ["layer.0.heads"]}, LayerError, "no list of blocks that read its hidden states"),
        (images, {"words": "first"}, OptionError, "words is an option for texts"),
        (images, {"max_length": 5, "layers": ["head"]}, OptionError, "max_length is an option for texts"),
        (lambda: [images().double()], {}, ModelError, "must read the batches: 'CNN' .CNN. does not .*Pass forward="),
        (lambda: [{"x": images()}], {}, ModelError, "the first batch has the keys x"),
        (images, {"forward": lambda m, b: {"a": m(b), "b": 3}}, ModelError, "got a dict with a int under 'b'"),
        (images, {"forward": lambda m, b: {}}, ModelError, "got a dict without entries"),
        (lambda: [images(4), images(4)[..., 1:]], {"layers": ["second"], "rows": "flatten"}, ShapeError,
         "'second' of 'CNN' has 96 in the first one and 72 in another"),
        (images, {"rows": lambda t: t[:, :0]}, ShapeError, "at least one row and one real number"),
        (images, {"rows": lambda t: t.to(torch.complex64)}, ShapeError, "at least one row and one real number"),
        (images, {"layers": None}, OptionError, "layers must be 'all', a name, or a list of names and indices"),
        (images, {"ids": "abc"}, OptionError, "ids must be a list with a name for each item"),
        (images, {"ids": ["a", "\ud800"]}, OptionError, "ids must be valid Unicode: that of item 1"),
        (images, {"forward": lambda m, b: {"a": m(b).mean(0)}}, ModelError, "must have numbers for each item: 'a'"),
        (images, {"forward": lambda m, b: m(b) + torch.rand(1)}, ModelError, "must give the same rows each time"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    data: Any, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
):
    given = {"layers": ["head"]} | ({"layers": "all"} if "forward" in options else {}) | options
    with pytest.raises(error, match=message):
        rs.extract(CNN(), data(), tmp_path / "s", **given)
    assert not (tmp_path / "s" / "manifest.json").exists()


def test_options_of_texts_are_refused_for_batches_in_comparisons():
    with pytest.raises(OptionError, match="tokens is an option for texts"):
        rs.compare_models(CNN(), CNN(1), loader(), "LinearCKA", layers=["head"], tokens="all")


def test_items_with_other_numbers_of_rows_than_the_first_are_named(tmp_path: Path):
    batches = [images(4), images(4)[:, :, :7, :7]]
    with pytest.raises(
        ModelError, match=r"the batch of item 4 has 4 items with \[25, 25, 25, 25\] rows, counted were 4"
    ):
        rs.extract(CNN(), batches, tmp_path / "s", layers=["stem.0"], rows="token")
    assert rs.extract(CNN(), batches, tmp_path / "t", layers=["stem.0"]).n_rows == 8  # type: ignore[union-attr]


def test_rows_that_depend_on_the_batch_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3, track_running_stats=False), torch.nn.Conv2d(3, 4, 3))
    with caplog.at_level(logging.WARNING, "pyrepsim.extraction"):
        rs.extract(model, [images()], tmp_path / "s", layers=["1"])
    assert "rows depend on how items are batched" in caplog.text
    caplog.clear()
    rs.extract(CNN(), [images()], tmp_path / "t", layers=["head"])
    assert caplog.text == ""


def test_models_of_images_are_sent_to_batches_by_the_errors_for_texts(tmp_path: Path):
    with pytest.raises(ModelError, match=r"reads batches of tensors: rs.extract\(model, DataLoader"):
        rs.extract(CNN(), ["a text"], tmp_path / "s")


def test_arrays_tuples_and_single_batches_are_read(tmp_path: Path):
    x = images()
    wanted = np.asarray(rs.extract(CNN(), [x], tmp_path / "a", layers=["head"])["head"])  # type: ignore[index]
    for index, data in enumerate([x, [x.numpy()], [(x, torch.arange(11))], [{"images": x}], {"images": x}]):
        store = rs.extract(CNN(), data, tmp_path / f"b{index}", layers=["head"])
        assert store is not None
        assert np.array_equal(np.asarray(store["head"]), wanted)
