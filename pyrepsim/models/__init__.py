"""Encoders: Hugging Face models that return hidden states, loaded by hub id, revision or folder."""

from ..core.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        f"Loading a model needs torch and transformers: {error.name} is not installed. Install them with `pip "
        "install pyrepsim[torch]`."
    ) from error

from .encoder import Encoder, ModelLike
from .loading import load_encoder
from .source import demo_models
from .wrapping import wrap

__all__ = ["Encoder", "ModelLike", "demo_models", "load_encoder", "wrap"]
