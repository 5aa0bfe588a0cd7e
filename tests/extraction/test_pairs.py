"""Pairs of texts are read as transformers reads them: tokenizer(text, text_pair), with token types."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyrepsim as rs
from pyrepsim.analysis.attention import attention_divergence
from pyrepsim.core.errors import ModelError, OptionError, TextError
from pyrepsim.data import read_texts
from pyrepsim.data.tokenizing import cut_pair
from pyrepsim.extraction.tokens import tokenise
from pyrepsim.models import Encoder
from pyrepsim.store import TokenFlag

from .reference import relative_error

FLOAT32 = 3e-6
PAIRS = [
    ("the keys to the cabinet are here", "keys are here"),
    ("don't run", "the river bank flows, running unplayable games across the unknown Großstadt"),
    ("", "keys"),
    ("the keys", ""),
    ("", ""),
    ("the river", "the river"),
    ("run runs running", "  two  spaces\tand 🙂 a tab "),
]


def bert_like(positions: int = 64, template: bool = True) -> Any:
    """WordPiece with BERT's template for pairs."""
    from tokenizers import processors

    from tests.helpers.tiny_models import wordpiece

    tokenizer = wordpiece(positions)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    if template:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return tokenizer


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = bert_like()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, initializer_range=0.5, **sizes)
    return rs.wrap(BertModel(config).eval(), tokenizer, name="bert")


def plainly(encoder: Encoder, pair: tuple[str, str], **options: Any) -> tuple[dict[str, list[int]], list[np.ndarray]]:
    """The inputs that transformers makes of a pair, and the hidden states of the model for it alone."""
    options |= {"return_special_tokens_mask": True, "split_special_tokens": True}
    inputs = encoder.tokenizer(
        [pair[0]], [pair[1]], **options
    )  # for ("a", "") the call with two strings reads one text
    special = inputs.pop("special_tokens_mask")[0]
    with torch.inference_mode():
        given = {name: torch.tensor(values) for name, values in inputs.items()}
        states = encoder.module(**given, output_hidden_states=True).hidden_states
    ids = inputs["input_ids"][0]
    return {"input_ids": ids, "special": special, "text": inputs.sequence_ids(0)}, [
        state[0].numpy() for state in states
    ]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_tokens", [1, 60, 4096])
def test_rows_are_those_of_transformers(encoder: Encoder, side: str, batch_tokens: int, tmp_path: Path):
    encoder.tokenizer.padding_side = side
    store = rs.extract(encoder, PAIRS, tmp_path / "s", dtype="float32", batch_tokens=batch_tokens)
    columns = store.columns
    for document, pair in enumerate(PAIRS):
        mine = columns.doc_id == document
        inputs, states = plainly(encoder, pair)
        assert columns.token_id[mine].tolist() == inputs["input_ids"]
        assert columns.position[mine].tolist() == list(range(len(inputs["input_ids"])))
        assert columns.mask("special")[mine].tolist() == [bool(one) for one in inputs["special"]]
        assert columns.sent_id[mine].tolist() == [-1 if text is None else text for text in inputs["text"]]
        joined = "\n".join(pair)
        spans = zip(columns.char_start[mine], columns.char_end[mine], columns.word_id[mine], strict=True)
        for start, end, word in spans:
            assert word < 0 or joined[start:end] in joined.split()[word]
        for layer, wanted in zip(store.layers, states, strict=True):
            assert relative_error(np.asarray(store[layer])[mine], wanted) <= FLOAT32
    encoder.tokenizer.padding_side = "right"


def test_token_types_matter(encoder: Encoder, tmp_path: Path):
    """A negative control: without token types the second text has other rows, far outside the tolerance."""
    store = rs.extract(encoder, [PAIRS[0]], tmp_path / "s", dtype="float32")
    ids = torch.tensor([store.columns.token_id.tolist()])
    with torch.inference_mode():
        state = encoder.module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()
    assert relative_error(np.asarray(store[-1]), state) > 1e3 * FLOAT32


@pytest.mark.parametrize("tokens", ["first", "last", "content", "cls", "special", "first_subword", "-2:"])
def test_selections_count_both_texts(encoder: Encoder, tokens: str, tmp_path: Path):
    whole = rs.extract(encoder, PAIRS, tmp_path / "whole")
    some = rs.extract(encoder, PAIRS, tmp_path / "some", tokens=tokens)
    for name in ("doc_id", "position", "sent_id"):
        assert np.array_equal(some.columns[name], whole.columns[name][whole.columns.mask(tokens)])
    assert (tokens != "last") or some.columns.sent_id.tolist() == [1, 1, 1, 0, 1, 1]
    second = rs.extract(encoder, PAIRS, tmp_path / "second", tokens=lambda columns: columns["sent_id"] == 1)
    assert set(second.columns.sent_id.tolist()) == {1}


def test_words_and_documents_of_pairs(encoder: Encoder, tmp_path: Path):
    texts = [pair for pair in PAIRS if all(pair)][:2]
    words = rs.extract(encoder, texts, tmp_path / "w", words="mean", dtype="float32")
    for document, pair in enumerate(texts):
        mine = words.columns.doc_id == document
        joined = "\n".join(pair)
        spans = zip(words.columns.char_start[mine], words.columns.char_end[mine], strict=True)
        assert [joined[start:end] for start, end in spans] == joined.split()
        assert words.columns.sent_id[mine].tolist() == [0] * len(pair[0].split()) + [1] * len(pair[1].split())
    means = rs.extract(encoder, texts, tmp_path / "d", rows="document", dtype="float32")
    for document, pair in enumerate(texts):
        inputs, states = plainly(encoder, pair)
        content = np.array(inputs["special"]) == 0
        assert (
            relative_error(np.asarray(means[-1])[document : document + 1], states[-1][content].mean(0)[None]) < FLOAT32
        )


LONG = [
    ("the keys " * 9, "the river"),
    ("run", "the bank of " * 7),
    ("keys here " * 6, "the river flows " * 5),
    ("a", "b"),
]


@pytest.mark.parametrize("max_length", [4, 9, 12, 13, 20])
def test_long_pairs_are_cut_as_longest_first_does(encoder: Encoder, max_length: int, tmp_path: Path):
    for options in ({}, {"batch_tokens": 30}):
        out = tmp_path / f"s{len(options)}"
        store = rs.extract(encoder, LONG, out, long="truncate", max_length=max_length, dtype="float32", **options)
        for document, pair in enumerate(LONG):
            mine = store.columns.doc_id == document
            inputs, states = plainly(encoder, pair, truncation="longest_first", max_length=max_length)
            assert store.columns.token_id[mine].tolist() == inputs["input_ids"]
            assert relative_error(np.asarray(store[-1])[mine], states[-1]) <= FLOAT32
            whole = len(encoder.tokenizer(*pair)["input_ids"])
            assert store.columns.has(TokenFlag.TRUNCATED_CONTEXT)[mine].all() == (whole > max_length)
    assert [entry.get("truncated", False) for entry in store.docs()] == [
        len(encoder.tokenizer(*pair)["input_ids"]) > max_length for pair in LONG
    ]


def test_a_word_that_is_cut_has_no_row(encoder: Encoder, tmp_path: Path):
    texts = [("keys xyz keys", "run")]  # [CLS] keys x ##y ##z keys [SEP] run [SEP]
    store = rs.extract(encoder, texts, tmp_path / "s", long="truncate", max_length=6, words="first")
    assert store.columns.position.tolist() == [0, 3]


def test_the_rule_of_transformers_for_every_length():
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    for room in range(1, 9):
        tokenizer.enable_truncation(room)  # longest_first
        for first in range(9):
            for second in range(9):
                made = tokenizer.encode("a " * first, "b " * second).ids
                assert cut_pair(first, second, room) == (made.count(0), made.count(1)), (first, second, room)


def test_pairs_do_not_fit_into_windows(encoder: Encoder, tmp_path: Path):
    with pytest.raises(TextError, match="Pairs of texts are not cut into windows: 3 of 4 have more .* first is '0'"):
        rs.extract(encoder, LONG, tmp_path / "s", long="window", max_length=12)
    assert rs.extract(encoder, PAIRS, tmp_path / "t", long="window").n_rows > 0
    with pytest.raises(TextError, match=r"3 of 4 do not.*Use long='truncate'\.$"):
        rs.extract(encoder, LONG, tmp_path / "u", max_length=12)
    with pytest.raises(OptionError, match="got 3, of which 3 are special tokens of a pair"):
        rs.extract(encoder, LONG, tmp_path / "v", long="truncate", max_length=3)


def test_tokenizers_without_a_template_join_both_texts(encoders: dict[str, Encoder], tmp_path: Path, caplog: Any):
    pairs = [("the keys", "are here"), ("river", "bank")]
    for name, tokenizer in (("gpt2", encoders["gpt2"].tokenizer), ("bert", bert_like(template=False))):
        caplog.clear()
        table = tokenise(read_texts(pairs), tokenizer)
        made = [token for pair in pairs for token in tokenizer(*pair)["input_ids"]]
        assert table.ids.tolist() == made, name
        assert "puts no token between the two texts of a pair" in caplog.text
    caplog.clear()
    tokenise(read_texts(pairs), bert_like())
    assert "puts no token" not in caplog.text


def test_a_model_without_token_types_reads_pairs(encoder: Encoder, tmp_path: Path):
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}
    module = DistilBertModel(DistilBertConfig(vocab_size=len(encoder.tokenizer), **sizes)).eval()
    other = rs.wrap(module, encoder.tokenizer, name="distil")
    assert not other.reads_types
    store = rs.extract(other, PAIRS[:2], tmp_path / "s", dtype="float32")
    ids = torch.tensor([encoder.tokenizer(*PAIRS[0])["input_ids"]])
    with torch.inference_mode():
        state = module(input_ids=ids).last_hidden_state[0].numpy()
    assert relative_error(np.asarray(store[-1])[store.columns.doc_id == 0], state) <= FLOAT32
    score = rs.compare_models(encoder, other, PAIRS, "LinearCKA", layers=[("layer.0", "layer.0")])[0]
    assert score.n_samples == int(rs.extract(other, PAIRS, tmp_path / "t").columns.mask("content").sum())


def test_a_model_with_too_few_token_types_is_refused(encoder: Encoder, tmp_path: Path):
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    module = BertModel(BertConfig(vocab_size=len(encoder.tokenizer), type_vocab_size=1, **sizes))
    with pytest.raises(ModelError, match="'one' has 1 token types, the tokenizer gives type 1 to a pair"):
        rs.extract(rs.wrap(module, encoder.tokenizer, name="one"), PAIRS, tmp_path / "s")


def test_models_that_read_one_text_at_a_time(encoder: Encoder, tmp_path: Path):
    from pyrepsim.models.independence import ONE_AT_A_TIME

    alone = rs.wrap(encoder.module, encoder.tokenizer, name="alone")
    checked = encoder._checked()
    apart = replace(checked, together=replace(checked.together, value=1.0))
    alone._independence[encoder.module.config._attn_implementation] = apart
    assert alone.batching == ONE_AT_A_TIME
    store = rs.extract(alone, PAIRS, tmp_path / "s", dtype="float32")
    wanted = rs.extract(encoder, PAIRS, tmp_path / "t", dtype="float32")
    assert relative_error(np.asarray(store[-1]), np.asarray(wanted[-1])) <= FLOAT32


def test_attention_of_pairs_uses_token_types(encoder: Encoder):
    from transformers import BertModel

    torch.manual_seed(1)
    other = rs.wrap(BertModel(encoder.module.config).eval(), encoder.tokenizer, name="other")
    found = attention_divergence(encoder, other, PAIRS[:2])
    sums, n = np.zeros(found.values.shape), 0
    for pair in PAIRS[:2]:
        inputs = {name: torch.tensor([ids]) for name, ids in encoder.tokenizer(*pair).items()}
        attention = []
        for one in (encoder, other):
            one.module.set_attn_implementation("eager")
            with torch.inference_mode():
                attention.append(torch.stack(one.module(**inputs, output_attentions=True).attentions)[:, 0].double())
            one.module.set_attn_implementation("sdpa")
        p, q = attention
        m = (p + q) / 2
        divergence = (p * (p / m).log2() + q * (q / m).log2()).sum(-1) / 2
        sums, n = sums + divergence.sum(-1).numpy(), n + divergence.shape[-1]
    assert found.values == pytest.approx(sums / n, rel=1e-4)


def test_sources_of_pairs(tmp_path: Path):
    corpus = read_texts(PAIRS)
    assert [document.texts for document in corpus] == PAIRS
    assert read_texts([["New", "York"]])[0].words == ((0, 3), (4, 8))
    assert read_texts([("a", "b", "c")])[0].words == ((0, 1), (2, 3), (4, 5)), "three words are no pair"
    assert corpus.fingerprint != read_texts(["\n".join(pair) for pair in PAIRS]).fingerprint
    assert read_texts([("a", "b\nc")]).fingerprint != read_texts([("a\nb", "c")]).fingerprint
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"text": a, "text_pair": b, "premise": a}) + "\n" for a, b in PAIRS))
    assert read_texts(file).fingerprint == corpus.fingerprint
    assert read_texts(file, field=("premise", "text_pair")).fingerprint == corpus.fingerprint
    assert [document.second for document in read_texts(file, field="text")] == [None] * len(PAIRS)
    with pytest.raises(TextError, match="must have the field 'hypothesis'"):
        read_texts(file, field=("premise", "hypothesis"))
    for wrong in ((), ("a", "b", "c"), ("a", 1), 3):
        with pytest.raises(TextError, match="names one field, or two for pairs"):
            read_texts(file, field=wrong)  # type: ignore[arg-type]
    with pytest.raises(TextError, match="document 0 is a tuple with a int in it"):
        read_texts([("a", 1)])
    datasets = pytest.importorskip("datasets", reason="no datasets")
    data = datasets.Dataset.from_dict({"premise": [a for a, _ in PAIRS], "hypothesis": [b for _, b in PAIRS]})
    assert read_texts(data, field=("premise", "hypothesis")).fingerprint == corpus.fingerprint
    with pytest.raises(TextError, match="field='label' must be a column"):
        read_texts(data, field=("premise", "label"))


def test_pairs_and_single_texts_are_not_mixed(encoder: Encoder, tmp_path: Path):
    with pytest.raises(TextError, match="all pairs or all single texts: '0' is a pair and '1' is none"):
        rs.extract(encoder, [("a", "b"), "c"], tmp_path / "s")
    with pytest.raises(TextError, match="document '0' has a lone surrogate"):
        rs.extract(encoder, [("a", "\ud800")], tmp_path / "s")


def test_plans_are_shared(encoder: Encoder, tmp_path: Path):
    x = rs.extract(encoder, LONG, tmp_path / "x", long="truncate", max_length=12)
    y = rs.extract(encoder, LONG, tmp_path / "y", same_plan_as=x)
    assert x.digest == y.digest
    assert rs.extract(encoder, LONG, tmp_path / "x", long="truncate", max_length=12).digest == x.digest
