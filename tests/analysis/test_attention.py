"""Divergence of attention against its definition, head by head; batches, windows and padding change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from pyrepsim.analysis import attention
from pyrepsim.analysis.attention import attention_divergence, jensen_shannon
from pyrepsim.core.errors import DegenerateError, ModelError, NonFiniteError, OptionError, TextError
from pyrepsim.models import Encoder, load_encoder
from tests.helpers.tiny_models import tiny_bert

FLOAT32 = 2e-6  # of a softmax over some tens of tokens, in batches of another width


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two BERTs of one shape; the second attends otherwise from its second block on."""
    folder = tmp_path_factory.mktemp("attention")
    base = tiny_bert(folder / "base", layers=3)
    tiny_bert(folder / "tuned", layers=3)
    model: Any = transformers.BertModel.from_pretrained(folder / "tuned")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        weight = model.encoder.layer[1].attention.self.query.weight
        weight += 0.5 * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder / "tuned")
    return base, folder / "tuned"


@pytest.fixture
def sentences(sentences: list[str]) -> list[str]:
    """Without the text that names special tokens, which extraction reads as plain characters."""
    return [text for text in sentences if "[SEP]" not in text]


def probabilities(folder: Path, text: str) -> np.ndarray:
    """(blocks, heads, queries, keys) of one text alone, by the model itself."""
    module = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        found = module(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    return np.stack([one[0].double().numpy() for one in found])


def entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0), axis=-1)


def by_definition(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """H((p + q) / 2) - (H(p) + H(q)) / 2."""
    p, q = (one / one.sum(axis=-1, keepdims=True) for one in (p, q))
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def reference(pair: tuple[Path, Path], texts: Sequence[str]) -> np.ndarray:
    found = [by_definition(*(probabilities(folder, text) for folder in pair)) for text in texts]
    return np.concatenate(found, axis=2).mean(axis=2)  # (blocks, heads) over all queries of all texts


def test_every_head_agrees_with_the_definition(pair: tuple[Path, Path], sentences: list[str]):
    found = attention_divergence(*pair, sentences, device="cpu", progress=False)
    assert found.values == pytest.approx(reference(pair, sentences), abs=FLOAT32)
    assert found.n_queries == sum(probabilities(pair[0], text).shape[-1] for text in sentences)
    assert found.per_block == pytest.approx(found.values.mean(axis=1))


def test_blocks_below_the_change_do_not_differ_and_those_above_do(pair: tuple[Path, Path], sentences: list[str]):
    found = attention_divergence(*pair, sentences, device="cpu", progress=False).values
    assert (found[0] == 0).all()
    assert (found[1:] > 1e-3).all()
    assert (found <= 1).all()


def test_a_model_does_not_differ_from_itself(pair: tuple[Path, Path], sentences: list[str]):
    found = attention_divergence(pair[0], pair[0], sentences, device="cpu", progress=False)
    assert (found.values == 0).all()


@pytest.mark.parametrize("batch_tokens", [1, 40, 100000])
def test_same_result_for_any_batches_and_padding(pair: tuple[Path, Path], sentences: list[str], batch_tokens: int):
    found = attention_divergence(*pair, sentences, batch_tokens=batch_tokens, device="cpu", progress=False)
    assert found.values == pytest.approx(reference(pair, sentences), abs=FLOAT32)


def test_attention_in_memory_is_bounded(pair: tuple[Path, Path], sentences: list[str], monkeypatch: pytest.MonkeyPatch):
    """With room for little, sequences are read one by one, to the same divergence."""
    read: list[int] = []
    forward = attention._attention
    monkeypatch.setattr(
        attention, "_attention", lambda model, ids, types: (read.append(len(ids)), forward(model, ids, types))[1]
    )
    monkeypatch.setattr(attention, "_MAX_BYTES", 1)
    found = attention_divergence(*pair, sentences, batch_tokens=100000, device="cpu", progress=False)
    assert set(read) == {1}
    assert found.values == pytest.approx(reference(pair, sentences), abs=FLOAT32)


def test_windows_count_each_position_once(pair: tuple[Path, Path]):
    text = "the keys to the cabinet are here and the river bank flows"
    found = attention_divergence(*pair, [text], long="window", max_length=8, device="cpu", progress=False)
    assert found.n_queries == probabilities(pair[0], text).shape[-1]


def test_queries_are_chosen_as_rows_are(pair: tuple[Path, Path], sentences: list[str]):
    whole, content, special = (
        attention_divergence(*pair, sentences, tokens=tokens, device="cpu", progress=False)
        for tokens in ("all", "content", "special")
    )
    assert content.n_queries + special.n_queries == whole.n_queries
    parts = content.values * content.n_queries + special.values * special.n_queries
    assert parts / whole.n_queries == pytest.approx(whole.values, rel=1e-12)


def test_a_decoder_attends_backwards_alone(folders: dict[str, Path]):
    found = attention_divergence(folders["gpt2"], folders["gpt2"], ["the keys are here"], device="cpu", progress=False)
    assert (found.values == 0).all()


def test_the_model_is_not_changed(pair: tuple[Path, Path], sentences: list[str]):
    encoder = load_encoder(pair[0], device="cpu")
    config: Any = encoder.module.config
    before = config._attn_implementation
    attention_divergence(encoder, pair[1], sentences, device="cpu", progress=False)
    assert config._attn_implementation == before


def test_divergence_of_distributions_keeps_its_bounds():
    p = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.5, 0.5, 0.0]])
    q = torch.tensor([[0.0, 0.5, 0.5], [0.2, 0.3, 0.5], [0.0, 0.5, 0.5]])
    assert jensen_shannon(p, q).tolist() == [1.0, 0.0, 0.5]
    assert jensen_shannon(4 * p, q).tolist() == [1.0, 0.0, 0.5]  # scaled to sum 1
    with pytest.raises(DegenerateError, match="all 0"):
        jensen_shannon(p, 0 * q)


def test_tiny_divergences_are_exact():
    """Second order in the step: p (1 +- e) / 2 differ by e^2 / (2 ln 2) bits, far below the rounding of entropies."""
    for step in (1e-4, 1e-6, 1e-7):
        p, q = (
            torch.tensor([0.5, 0.5], dtype=torch.float64),
            torch.tensor([0.5 + step, 0.5 - step], dtype=torch.float64),
        )
        assert float(jensen_shannon(p, q)) == pytest.approx(step**2 / (2 * np.log(2)), rel=1e-3)


def test_models_that_do_not_match_are_refused(
    pair: tuple[Path, Path], folders: dict[str, Path], sentences: list[str], tmp_path: Path
):
    with pytest.raises(OptionError, match="different tokens"):
        attention_divergence(pair[0], folders["gpt2"], sentences, device="cpu", progress=False)
    shallow = tiny_bert(tmp_path / "shallow", layers=2)
    with pytest.raises(ModelError, match="3 blocks of 2 heads"):
        attention_divergence(pair[0], shallow, sentences, device="cpu", progress=False)


def test_no_chosen_position_and_unknown_choices_are_refused(folders: dict[str, Path], pair: tuple[Path, Path]):
    with pytest.raises(TextError, match="at least one position"):
        attention_divergence(folders["gpt2"], folders["gpt2"], ["keys"], tokens="special", device="cpu", progress=False)
    with pytest.raises(OptionError, match="tokens must be one of"):
        attention_divergence(*pair, ["keys"], tokens="some", device="cpu")


def test_attention_that_is_not_finite_is_named(encoders: dict[str, Encoder], pair: tuple[Path, Path]):
    broken = load_encoder(pair[0], device="cpu")
    module: Any = broken.module
    with torch.no_grad():
        module.encoder.layer[1].attention.self.query.weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"layer\.1"):
        attention_divergence(pair[0], broken, ["the keys"], device="cpu", progress=False)
