"""A simple reference extraction: a forward pass of transformers for each text alone."""

from __future__ import annotations

import numpy as np
import torch

from pyrepsim.models import Encoder


def forward_alone(encoder: Encoder, ids: list[int]) -> list[np.ndarray]:
    """All hidden states of one unpadded sequence, (tokens, width) each."""
    with torch.inference_mode():
        states = encoder.module(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones((1, len(ids)), dtype=torch.long),
            output_hidden_states=True,
        ).hidden_states
    return [state[0].numpy() for state in states]


def tokens_alone(encoder: Encoder, text: str) -> list[int]:
    return encoder.tokenizer(text, split_special_tokens=True, truncation=False, padding=False)["input_ids"]


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest error of a row, in units of the row's largest activation."""
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    return float((np.abs(found - wanted).max(axis=1) / np.abs(wanted).max(axis=1)).max(initial=0.0))
