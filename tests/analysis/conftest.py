"""The fixtures of extraction and fine-tuning: tiny models and sentences."""

from tests.extraction.conftest import base, encoders, folders, sentences
from tests.finetuning.conftest import encoder

__all__ = ["base", "encoder", "encoders", "folders", "sentences"]
