"""The tiny BERT of the synthetic tasks: it knows their words, and splits some."""

from __future__ import annotations

from pathlib import Path

from pyrepsim.studies.synthetic import generate_sentences
from tests.helpers.tiny_synthetic import synthetic_bert, synthetic_tokenizer


def test_every_word_has_one_piece_or_two():
    sentences = generate_sentences(300)
    tokenizer = synthetic_tokenizer(sentence.text for sentence in sentences)
    pieces = [tokenizer.tokenize(token.form) for sentence in sentences for token in sentence.tokens]
    assert {len(split) for split in pieces if split != ["'", "s"]} == {1, 2}
    assert not any("[UNK]" in split for split in pieces)
    assert tokenizer.tokenize("farmers") == ["farmer", "##s"]


def test_the_model_loads(tmp_path: Path):
    from transformers import AutoModel

    folder = synthetic_bert(tmp_path / "bert", (sentence.text for sentence in generate_sentences(50)))
    model = AutoModel.from_pretrained(folder)
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (2, 64)
