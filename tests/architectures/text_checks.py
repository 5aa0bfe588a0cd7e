"""The five checks of a text model. Each takes a family and an empty folder, and fails, or raises what the user sees.

What is expected comes from forward passes of transformers alone: hidden states, and hooks of PyTorch.
"""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, LayerError
from pyrepsim.models import Encoder
from pyrepsim.models.points import Point
from tests.helpers.architectures import build, encoder_of
from tests.helpers.tiny_models import byte_level, wordpiece

from .families import Family
from .plain_passes import Call, calls_of, rows_of_call, same_values

Tensor = torch.Tensor

TEXTS = (
    "the keys to the cabinet are here",
    "run",
    "the river bank flows running",
    "keys are here, and the river flows to the bank",
    "don't play",
    "the bank of the river is unplayable",
    "here are keys",
    "cabinet keys run to the river",
    "river",
    "the the the keys bank",
)
_TOLERANCE = 5e-5  # of the largest value: the same row in a batch of another shape


def encoder(family: Family) -> Encoder:
    return encoder_of(family.name)


@functools.cache
def changed_encoder(name: str) -> Encoder:
    """A copy with other weights everywhere."""
    module = copy.deepcopy(encoder_of(name).module)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return rs.wrap(module, wordpiece(64), name=f"{name} with other weights")


def token_ids(text: str) -> list[int]:
    return wordpiece(64)(text)["input_ids"]


def hidden_states(model: Any, ids: Tensor, mask: Tensor, *, late: bool) -> tuple[Tensor, ...]:
    """What transformers returns; of an encoder-decoder, the hidden states of the encoder in the whole model."""
    options: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "output_hidden_states": True}
    if hasattr(model.config, "use_cache"):
        options["use_cache"] = False
    if getattr(model.config, "is_encoder_decoder", False) and getattr(model, "decoder", None) is not None:
        options["decoder_input_ids"] = ids[:, :1]
    with torch.no_grad():
        output = model(**options)
    states = getattr(output, "encoder_hidden_states", None) or output.hidden_states
    if late:  # the outputs of all blocks, and of the last one also after the final normalisation
        return (model.get_input_embeddings()(ids).detach(), *states[:-2], states[-1])
    return states


@functools.cache
def plain_rows(family: Family, changed: bool = False) -> dict[str, list[np.ndarray]]:
    """The rows of each text in each layer, from the batches that extraction makes."""
    model = build(family.name) if not changed else changed_encoder(family.name).module
    found: dict[str, list[np.ndarray]] = {}
    place = {tuple(token_ids(text)): index for index, text in enumerate(TEXTS)}
    for ids in batches_of(encoder(family), alone=bool(family.note)):
        mask = ids >= 0
        states = hidden_states(model, ids.clamp(min=0), mask.long(), late=family.late)
        for index, state in enumerate(states):
            rows = found.setdefault("embeddings" if not index else f"layer.{index - 1}", [np.empty(0)] * len(TEXTS))
            for sequence, own, row in zip(state, mask, ids, strict=True):
                rows[place[tuple(row[own].tolist())]] = sequence[own].numpy()
    lengths = [len(token_ids(text)) for text in TEXTS]
    assert all(list(map(len, rows)) == lengths for rows in found.values())
    return found


def batches_of(model: Encoder, *, alone: bool) -> list[Tensor]:
    """Token ids of batches, -1 at the padding."""
    if alone:
        return [torch.tensor([token_ids(text)]) for text in TEXTS]
    plan = rs.plan_extraction(model, list(TEXTS))
    return [torch.from_numpy(batch.ids) for layout in plan.shards() for batch in layout.batches()]


def check_extract(family: Family, folder: Path) -> None:
    """Stored rows are the model's hidden states bit for bit, and those of each text alone but for rounding."""
    store = rs.extract(encoder(family), list(TEXTS), folder / "store", dtype="float32")
    assert store is not None
    wanted = plain_rows(family)
    assert store.layers == tuple(wanted)
    model = build(family.name)
    for index, text in enumerate(TEXTS):
        own = store.columns.doc_id == index
        assert store.columns.token_id[own].tolist() == token_ids(text)
        ids = torch.tensor([token_ids(text)])
        alone = hidden_states(model, ids, torch.ones_like(ids), late=family.late)
        for layer, state in zip(store.layers, alone, strict=True):
            found = np.asarray(store[layer])[own]
            assert np.array_equal(found, wanted[layer][index]), layer
            assert np.abs(found - state[0].numpy()).max() <= _TOLERANCE * np.abs(found).max(), layer


def check_compare_models(family: Family, folder: Path) -> None:
    """A model equals itself, differs from a copy with other weights, and the scores are those of two stores."""
    pair = encoder(family), changed_encoder(family.name)
    same = rs.compare_models(pair[0], pair[0], list(TEXTS), "LinearCKA")
    assert [score.layer_x for score in same] == list(pair[0].layers)
    assert max(abs(score.value - 1) for score in same) < 1e-12
    scores = rs.compare_models(*pair, list(TEXTS), "LinearCKA")
    assert all(0 < score.value < 1 - 1e-6 for score in scores)
    stores = [rs.extract(one, list(TEXTS), folder / str(side), dtype="float32") for side, one in enumerate(pair)]
    wanted = rs.compare(*stores, "LinearCKA")
    assert [score.layer_x for score in wanted] == [score.layer_x for score in scores]
    assert max(abs(a.value - b.value) for a, b in zip(scores, wanted, strict=True)) < 1e-12


def check_hook_points(family: Family, folder: Path) -> None:
    """Canonical points and modules by path are what forward hooks of PyTorch record; what is missing has its reason."""
    model = encoder(family)
    assert [name for name in family.points(len(model.layers) - 1) if name not in model.points] == []
    assert [name for name in family.missing if name in model.points] == []
    for name, reason in family.missing.items():
        with pytest.raises(LayerError, match=re.escape(reason)):
            model.widths([name])
    ids = torch.tensor([token_ids(TEXTS[0])[:9], [2, 71, 80, 90, 3, 0, 0, 0, 0], [2, 72, 73, 74, 75, 76, 3, 0, 0]])
    calls = calls_of_text(model, ids)
    once = {path: runs[0][1] for path, runs in calls.items() if len(runs) == 1 and path not in model.points}
    paths = [path for path, given in once.items() if rows_of_call(given, *ids.shape) is not None]
    assert paths
    read = [f"{path}.input" for path in paths if rows_of_call(calls[path][0][0], *ids.shape) is not None]
    if family.note:  # without padding: one text
        ids = ids[:1]
        calls = calls_of_text(model, ids)
    mask = (ids != 0).long()
    names = [*model.points, *paths, *(name for name in read if name not in model.points)]
    found = dict(zip(names, model.hidden_states(ids, mask, names), strict=True))
    for name in names:
        assert model.widths([name]) == {name: found[name].shape[-1]}
        point = model.points.point(name)
        if isinstance(point, Point):
            given = calls[point.path][point.turn][point.side == "output"]
            wanted = rows_of_call(given, *ids.shape)
            assert wanted is not None, name
            columns = slice(None) if point.columns is None else torch.from_numpy(point.columns)
            assert same_values(found[name], wanted[..., columns]), name
    _check_identities(found, family)


def calls_of_text(model: Encoder, ids: Tensor) -> dict[str, list[Call]]:
    """See `calls_of`, of token ids with 0 at the padding. In a copy, because transformers leaves hooks of its own."""
    module = copy.deepcopy(model.module)
    return calls_of(module, lambda: hidden_states(module, ids, (ids != 0).long(), late=False))


def _check_identities(found: dict[str, Tensor], family: Family) -> None:
    """What holds between points of any model: blocks read what the one before gave, and heads are parts of a whole."""
    states = [name for name in found if name == "embeddings" or re.fullmatch(r"layer\.\d+", name)]
    states.sort(key=lambda name: -1 if name == "embeddings" else int(name[6:]))
    for index, state in enumerate(states[1:]):
        if f"layer.{index}.input" not in found:
            continue
        assert same_values(found[f"layer.{index}.input"], found[states[index]]), state
        if state != states[-1]:
            assert same_values(found[f"layer.{index}.output"], found[state]), state
    last = f"layer.{len(states) - 2}.output"
    if "final_norm" in found:
        assert same_values(found["final_norm.input"], found[last])
        normalised = family.name != "clip_text"  # transformers returns its last state before that
        assert same_values(found[states[-1]], found["final_norm" if normalised else "final_norm.input"])
    for name in [name for name in found if name.endswith((".heads", ".queries", ".keys", ".values"))]:
        parts = [found[f"{name}.{head}"] for head in range(64) if f"{name}.{head}" in found]
        assert not parts or same_values(torch.cat(parts, dim=2), found[name]), name


SELECTIONS: dict[str, Any] = {
    "content": lambda n: range(1, n - 1),
    "last": lambda n: [n - 2],
    "-2:": lambda n: range(max(1, n - 3), n - 1),
    "0:3": lambda n: range(1, min(4, n - 1)),
    "cls": lambda n: [0],
    "all": range,
}


def check_positions(family: Family, folder: Path) -> None:
    """Each choice of tokens gives exactly its rows: in a store, and in scores equal to those of the plain rows."""
    pair = encoder(family), changed_encoder(family.name)
    extract = functools.partial(rs.extract, pair[0], list(TEXTS), dtype="float32")
    store = extract(folder / "store")
    assert store is not None
    layer = list(pair[0].layers)[-1]
    plain = [plain_rows(family, changed)[layer] for changed in (False, True)]
    chosen: dict[Any, Any] = {**SELECTIONS, _third: lambda n: [2]}
    for tokens, rows_of in chosen.items():
        rows = [list(rows_of(len(token_ids(text)))) for text in TEXTS]
        mask = store.columns.mask(tokens)
        found = [store.columns.position[mask & (store.columns.doc_id == index)].tolist() for index in range(len(TEXTS))]
        assert found == rows, tokens
        alone = extract(folder / "alone", tokens=tokens, overwrite=True)
        assert alone is not None
        picked = [np.concatenate([one[at] for one, at in zip(side, rows, strict=True)]) for side in plain]
        assert np.array_equal(np.asarray(store[layer])[mask], picked[0])
        assert np.array_equal(np.asarray(alone[layer]), picked[0]), tokens
        measure = rs.LinearCKA(debiased=True)
        if (picked[0] == picked[0][0]).all():  # of a decoder, the first token: it has read no text
            with pytest.raises(DegenerateError, match="features that vary"):
                rs.compare_models(*pair, list(TEXTS), measure, layers=[layer], tokens=tokens)
            continue
        score = rs.compare_models(*pair, list(TEXTS), measure, layers=[layer], tokens=tokens)[0]
        assert score.n_samples == sum(map(len, rows))
        assert abs(score.value - rs.compare(*picked, measure).value) < 1e-12, tokens


def _third(columns: Any) -> np.ndarray:
    return columns["position"] == 2


def _for_training(name: str, folder: Path) -> Encoder:
    """The model; that of Qwen2 with a tokenizer of its own class, with which transformers opens every folder of it."""
    if name != "qwen2":
        return encoder_of(name)
    byte_level().save_pretrained(folder)
    tokenizer = transformers.Qwen2Tokenizer.from_pretrained(folder)
    return rs.wrap(build(name, vocab_size=len(tokenizer)), tokenizer)


def check_finetune(family: Family, folder: Path) -> None:
    """Two steps change the weights of every block of the run, which opens again, and not those of the model."""
    model = _for_training(family.name, folder / "tokenizer")
    lines = ["sentence\tlabel", "the river\tyes", "the bank\tno", "river keys\tyes", "run run\tno"]
    data = folder / "data.tsv"
    data.write_text("\n".join(lines) + "\n")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    recipe = rs.TrainingRecipe(epochs=1, batch_size=2, max_length=16, learning_rate=1e-2)
    options: dict[str, Any] = {"train": data, "dev": data, "recipe": recipe, "device": "cpu"}
    run = rs.finetune(model, "sequence(pooling='mean')", out=folder / "run", **options)
    after = model.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    tuned = rs.load_encoder(run.folder, device="cpu")
    assert tuned.layers == model.layers
    assert type(tuned.module) is type(model.module)
    ids = torch.tensor([token_ids("the river run")])
    states = [one.hidden_states(ids, torch.ones_like(ids)) for one in (model, tuned)]
    assert not any(torch.equal(a, b) for a, b in zip(*states, strict=True))
    weights = tuned.module.state_dict()
    for index in range(len(model.layers) - 1):
        own = [name for name in before if re.search(rf"(^|\.){index}\.", name)]
        assert not own or any(not torch.equal(before[name], weights[name]) for name in own)


CHECKS = {
    "extract": check_extract,
    "compare_models": check_compare_models,
    "hook points": check_hook_points,
    "positions": check_positions,
    "finetune": check_finetune,
}
