"""Random models of a few thousand weights with real tokenizers, created when needed, without the hub."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = ["the", "keys", "to", "cabinet", "are", "here", "don", "river", "bank", "flows", "run", "un", "play"]
PIECES = ["##ning", "##s", "##able", "##ed"]
TEXT = "the keys to the cabinet are here, don't run; the river bank flows and plays unplayable games"


def tiny_bert(
    folder: Path, *, seed: int = 0, width: int = 16, layers: int = 2, positions: int = 64, spread: float = 0.5
) -> Path:
    """A BERT with WordPiece: specials, letters, and a few words and pieces of words."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    tokenizer = wordpiece(positions)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
        initializer_range=spread,
    )
    return save(folder, BertModel(config), tokenizer)


def tiny_gpt2(folder: Path, *, seed: int = 0, width: int = 16, layers: int = 2, positions: int = 64) -> Path:
    """A decoder with byte-level BPE, no special tokens around a text, no padding token."""
    import torch
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(seed)
    tokenizer = byte_level(positions)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=width,
        n_layer=layers,
        n_head=2,
        n_positions=positions,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.5,
    )
    return save(folder, GPT2Model(config), tokenizer)


def wordpiece(positions: int = 64, *, words: Sequence[str] = WORDS, pieces: Sequence[str] = PIECES) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_lowercase + string.digits
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*specials, *letters, *string.punctuation, *(f"##{letter}" for letter in letters), *words, *pieces]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def byte_level(positions: int = 64) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=positions, eos_token="<|endoftext|>")


def save(folder: Path, model: Any, tokenizer: Any = None) -> Path:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model.eval().save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder
