"""Thirty-odd tiny random models of transformers' architectures: text encoders, decoders, vision and audio encoders."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrepsim.models import Encoder

VOCABULARY = 128
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
_TEXT = _SIZES | {"max_position_embeddings": 64}
_GROUPED = _TEXT | {"num_key_value_heads": 2}
_IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 24}
_IMAGES = _SIZES | {"image_size": 16, "patch_size": 8}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
_BART |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
_CONVOLUTIONS = {"conv_dim": (8, 8), "conv_stride": (2, 2), "conv_kernel": (3, 3)}
_CONVOLUTIONS |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}

TEXT_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("Albert", _TEXT | {"embedding_size": 8}),
    "bart": ("Bart", _BART | {"max_position_embeddings": 64}),
    "bert": ("Bert", _TEXT),
    "bloom": ("Bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 4}),
    "clip_text": ("CLIPText", _TEXT),
    "deberta": ("DebertaV2", _TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "deepseek": (
        "DeepseekV3",
        _TEXT
        | _IDS
        | {"num_key_value_heads": 4, "moe_intermediate_size": 8, "n_routed_experts": 4, "num_experts_per_tok": 2}
        | {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 8, "kv_lora_rank": 8}
        | {"qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4},
    ),
    "distilbert": ("DistilBert", {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24}),
    "electra": ("Electra", _TEXT | {"embedding_size": 8}),
    "falcon": ("Falcon", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "gemma2": ("Gemma2", _GROUPED | _IDS | {"head_dim": 4}),
    "gpt2": ("GPT2", _GPT2),
    "gpt_bigcode": ("GPTBigCode", _GPT2),
    "gpt_neox": ("GPTNeoX", _TEXT),
    "gpt_oss": ("GptOss", _GROUPED | _IDS | {"head_dim": 4, "num_local_experts": 4}),
    "gptj": ("GPTJ", _GPT2 | {"rotary_dim": 4}),
    "llama": ("Llama", _GROUPED | _IDS),
    "mamba": ("Mamba", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}),
    "mistral": ("Mistral", _GROUPED | _IDS),
    "mixtral": ("Mixtral", _GROUPED | _IDS | {"num_local_experts": 4}),
    "modernbert": ("ModernBert", _TEXT | _IDS | {"cls_token_id": 2, "sep_token_id": 3}),
    "mpnet": ("MPNet", _TEXT),
    "olmo2": ("Olmo2", _GROUPED | _IDS),
    "opt": ("OPT", _TEXT | {"ffn_dim": 24, "word_embed_proj_dim": 16}),
    "phi3": ("Phi3", _GROUPED | _IDS),
    "qwen2": ("Qwen2", _GROUPED | _IDS),
    "qwen2_moe": ("Qwen2Moe", _GROUPED | _IDS | _EXPERTS | {"shared_expert_intermediate_size": 24}),
    "qwen3": ("Qwen3", _GROUPED | _IDS | {"head_dim": 8}),
    "qwen3_moe": ("Qwen3Moe", _GROUPED | _IDS | _EXPERTS | {"head_dim": 4}),
    "roberta": ("Roberta", _TEXT),
    "t5": ("T5", {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}),
    "xlnet": ("XLNet", {"d_model": 16, "n_layer": 2, "n_head": 4, "d_inner": 24}),
}
"""Class names without ``Model`` and ``Config``, and options of the configuration."""

OTHER_MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "clip_vision": ("CLIPVision", _IMAGES, "image"),
    "convnext": ("ConvNext", {"hidden_sizes": [4, 8], "depths": [1, 1], "num_stages": 2, "patch_size": 2}, "image"),
    "dinov2": ("Dinov2", _IMAGES | {"mlp_ratio": 2}, "image"),
    "resnet": ("ResNet", {"hidden_sizes": [4, 8], "depths": [1, 1], "embedding_size": 4}, "image"),
    "swin": (
        "Swin",
        {"image_size": 16, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2},
        "image",
    ),
    "vit": ("ViT", _IMAGES, "image"),
    "wav2vec2": ("Wav2Vec2", _SIZES | _CONVOLUTIONS, "sound"),
    "whisper": (
        "Whisper",
        _BART | _IDS | {"num_mel_bins": 8, "max_source_positions": 10, "decoder_start_token_id": 2},
        "spectrum",
    ),
}
"""As above, and what the model reads."""


def build(name: str, seed: int = 0, **options: Any) -> Any:
    """A random model in evaluation mode; of an encoder-decoder without a task head, all of it."""
    import torch
    import transformers as hf

    if name in TEXT_MODELS:
        family, sizes = TEXT_MODELS[name]
        sizes = sizes | {"vocab_size": VOCABULARY}
    else:
        family, sizes, _ = OTHER_MODELS[name]
    torch.manual_seed(seed)
    config = getattr(hf, f"{family}Config")(**sizes | options)
    model = getattr(hf, f"{family}Model")(config).eval()
    for parameter in model.parameters():  # sizes at which every part of the model changes its output
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@functools.cache
def encoder_of(name: str, **options: Any) -> Encoder:
    """A text model with a tokenizer. Tests share it, so they restore what they change."""
    from pyrepsim.models import wrap

    from .tiny_models import wordpiece

    return wrap(build(name, **options), wordpiece(64), name=name)


INPUTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "image": lambda n: {"pixel_values": _random(n, 3, 16, 16)},
    "sound": lambda n: {"input_values": _random(n, 40)},
    "spectrum": lambda n: {"input_features": _random(n, 8, 20)},
}


def _random(*shape: int) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(0))
