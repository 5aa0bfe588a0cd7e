"""Encoders: any Hugging Face model that gives hidden states, loaded by hub id, revision or path."""

from .demo import demo_models
from .encoder import Encoder, load_encoder, wrap_encoder

__all__ = ["Encoder", "demo_models", "load_encoder", "wrap_encoder"]
