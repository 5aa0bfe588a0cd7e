"""A random BERT that learns the synthetic tasks in seconds: two layers of width 64, with the vocabulary of the text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.helpers.tiny_models import save, wordpiece

ENDINGS = ("s", "es", "d", "ed")


def synthetic_bert(
    folder: Path, texts: Iterable[str], *, seed: int = 0, width: int = 64, layers: int = 2, positions: int = 128
) -> Path:
    """A folder for ``from_pretrained``: a BERT with initial weights and a WordPiece tokenizer of these texts."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    tokenizer = synthetic_tokenizer(texts, positions=positions)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return save(folder, BertModel(config), tokenizer)


def synthetic_tokenizer(texts: Iterable[str], *, positions: int = 128) -> Any:
    """Each word is one piece; an inflected word has two if its stem is in the vocabulary: ``farmer ##s``."""
    words = {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}
    inflected = {word + ending for word in words for ending in ENDINGS} & words
    return wordpiece(positions, words=sorted(words - inflected), pieces=[f"##{ending}" for ending in ENDINGS])
