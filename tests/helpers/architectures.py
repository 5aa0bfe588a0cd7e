"""Tiny random models of transformers' architectures: text encoders, decoders, vision, video and audio encoders.

What each of them does in pyrepsim, and the page that says so, are in tests/architectures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrepsim.models import Encoder

VOCABULARY = 128
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
_TEXT = _SIZES | {"max_position_embeddings": 64}
_IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_GROUPED = _TEXT | _IDS | {"num_key_value_heads": 2}
_SLIDING = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 24}
_T5 = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "first_k_dense_replace": 1}
_LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4}
_BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
_BART |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
_TRANSLATION = _BART | _IDS | {"max_position_embeddings": 64, "decoder_start_token_id": 2}
_IMAGES = _SIZES | {"image_size": 16, "patch_size": 8}
_STAGES = {"hidden_sizes": [4, 8], "depths": [1, 1]}
_CONVOLUTIONS = {"conv_dim": (8, 8), "conv_stride": (2, 2), "conv_kernel": (3, 3)}
_CONVOLUTIONS |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
_DELTA = {"linear_key_head_dim": 4, "linear_value_head_dim": 4, "linear_num_key_heads": 2}
_DELTA |= {"linear_num_value_heads": 4, "layer_types": ["linear_attention", "full_attention"]}
_SSM = {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}

TEXT_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("Albert", _TEXT | {"embedding_size": 8}),
    "bart": ("Bart", _BART | {"max_position_embeddings": 64}),
    "bert": ("Bert", _TEXT),
    "big_bird": ("BigBird", _TEXT | {"attention_type": "original_full"}),
    "bloom": ("Bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 4}),
    "clip_text": ("CLIPText", _TEXT),
    "codegen": ("CodeGen", _GPT2 | {"rotary_dim": 4}),
    "cohere2": ("Cohere2", _GROUPED | _SLIDING),
    "convbert": ("ConvBert", _TEXT | {"embedding_size": 16, "conv_kernel_size": 3}),
    "deberta": ("DebertaV2", _TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "deepseek": (
        "DeepseekV3",
        _TEXT | _IDS | _ROUTED | _LATENT | {"num_key_value_heads": 4, "n_group": 2, "topk_group": 1},
    ),
    "distilbert": ("DistilBert", {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24}),
    "electra": ("Electra", _TEXT | {"embedding_size": 8}),
    "esm": ("Esm", _TEXT | {"pad_token_id": 0, "mask_token_id": 4, "position_embedding_type": "rotary"}),
    "eurobert": ("EuroBert", _GROUPED),
    "falcon": ("Falcon", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "falcon_h1": (
        "FalconH1",
        _GROUPED
        | {"mamba_d_ssm": 16, "mamba_n_heads": 4, "mamba_d_head": 4, "mamba_d_state": 4}
        | {"mamba_chunk_size": 8},
    ),
    "fnet": (
        "FNet",
        {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24, "max_position_embeddings": 64}
        | {"tpu_short_seq_length": 32},
    ),
    "funnel": ("Funnel", {"block_sizes": [1, 1], "d_model": 16, "n_head": 4, "d_head": 4, "d_inner": 24}),
    "gemma2": ("Gemma2", _GROUPED | {"head_dim": 4}),
    "gemma3": ("Gemma3Text", _GROUPED | _SLIDING | {"head_dim": 4}),
    "glm4": ("Glm4", _GROUPED | {"head_dim": 4}),
    "glm4_moe": ("Glm4Moe", _GROUPED | _ROUTED | {"head_dim": 4}),
    "gpt2": ("GPT2", _GPT2),
    "gpt_bigcode": ("GPTBigCode", _GPT2),
    "gpt_neox": ("GPTNeoX", _TEXT),
    "gpt_oss": ("GptOss", _GROUPED | {"head_dim": 4, "num_local_experts": 4}),
    "gptj": ("GPTJ", _GPT2 | {"rotary_dim": 4}),
    "jamba": (
        "Jamba",
        _GROUPED
        | {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4, "use_mamba_kernels": False}
        | {"mamba_d_state": 4, "mamba_dt_rank": 2},
    ),
    "layoutlm": ("LayoutLM", _TEXT),
    "lfm2": ("Lfm2", _GROUPED | {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}),
    "llama": ("Llama", _GROUPED),
    "llama4": (
        "Llama4Text",
        _GROUPED
        | {"head_dim": 4, "intermediate_size_mlp": 24, "num_local_experts": 4, "attention_chunk_size": 64}
        | {"interleave_moe_layer_step": 2},
    ),
    "longformer": ("Longformer", _TEXT | {"attention_window": 8}),
    "m2m_100": ("M2M100", _TRANSLATION),
    "mamba": ("Mamba", _SSM),
    "mamba2": ("Mamba2", _SSM | _IDS | {"num_heads": 4, "head_dim": 8, "n_groups": 1, "chunk_size": 8}),
    "marian": ("Marian", _TRANSLATION),
    "mbart": ("MBart", _TRANSLATION),
    "mistral": ("Mistral", _GROUPED),
    "mixtral": ("Mixtral", _GROUPED | {"num_local_experts": 4}),
    "mobilebert": (
        "MobileBert",
        _TEXT | {"embedding_size": 8, "intra_bottleneck_size": 8, "num_feedforward_networks": 2},
    ),
    "modernbert": ("ModernBert", _TEXT | _IDS | {"cls_token_id": 2, "sep_token_id": 3}),
    "mpnet": ("MPNet", _TEXT),
    "mpt": ("Mpt", {"d_model": 16, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}),
    "mt5": ("MT5", _T5),
    "nemotron": ("Nemotron", _GROUPED),
    "nomic_bert": ("NomicBert", _TEXT),
    "olmo2": ("Olmo2", _GROUPED),
    "olmo3": ("Olmo3", _GROUPED | _SLIDING),
    "olmoe": ("Olmoe", _GROUPED | {"num_experts": 4, "num_experts_per_tok": 2}),
    "opt": ("OPT", _TEXT | {"ffn_dim": 24, "word_embed_proj_dim": 16}),
    "pegasus": ("Pegasus", _TRANSLATION),
    "phi3": ("Phi3", _GROUPED),
    "qwen2": ("Qwen2", _GROUPED),
    "qwen2_moe": ("Qwen2Moe", _GROUPED | _EXPERTS | {"shared_expert_intermediate_size": 24}),
    "qwen3": ("Qwen3", _GROUPED | {"head_dim": 8}),
    "qwen3_5": ("Qwen3_5Text", _GROUPED | _DELTA | {"head_dim": 8}),
    "qwen3_moe": ("Qwen3Moe", _GROUPED | _EXPERTS | {"head_dim": 4}),
    "qwen3_next": (
        "Qwen3Next",
        _GROUPED | _EXPERTS | {"head_dim": 8} | _DELTA | {"shared_expert_intermediate_size": 24},
    ),
    "recurrent_gemma": ("RecurrentGemma", _GROUPED | {"block_types": ["recurrent", "attention"]}),
    "reformer": (
        "Reformer",
        {"hidden_size": 16, "num_attention_heads": 4, "attention_head_size": 4, "feed_forward_size": 24}
        | {"attn_layers": ["local", "lsh"], "axial_pos_embds": False, "max_position_embeddings": 64, "num_buckets": 2}
        | {"local_attn_chunk_length": 4, "lsh_attn_chunk_length": 4},
    ),
    "roberta": ("Roberta", _TEXT),
    "rwkv": (
        "Rwkv",
        {"hidden_size": 16, "num_hidden_layers": 2, "attention_hidden_size": 16, "intermediate_size": 24}
        | {"context_length": 64},
    ),
    "smollm3": ("SmolLM3", _GROUPED),
    "squeezebert": (
        "SqueezeBert",
        _TEXT
        | {"embedding_size": 16, "q_groups": 2, "k_groups": 2, "v_groups": 2, "intermediate_groups": 2}
        | {"output_groups": 2},
    ),
    "starcoder2": ("Starcoder2", _GROUPED),
    "switch": ("SwitchTransformers", _T5 | {"num_sparse_encoder_layers": 1, "num_experts": 4}),
    "t5": ("T5", _T5),
    "umt5": ("UMT5", _T5),
    "xlm_roberta": ("XLMRoberta", _TEXT),
    "xlnet": ("XLNet", {"d_model": 16, "n_layer": 2, "n_head": 4, "d_inner": 24}),
}
"""Class names without ``Model`` and ``Config``, and options of the configuration."""

OTHER_MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ast": (
        "AST",
        _SIZES | {"max_length": 16, "num_mel_bins": 8, "patch_size": 4, "frequency_stride": 4} | {"time_stride": 4},
        "spectrogram",
    ),
    "beit": ("Beit", _IMAGES, "image"),
    "clip_vision": ("CLIPVision", _IMAGES, "image"),
    "convnext": ("ConvNext", _STAGES | {"num_stages": 2, "patch_size": 2}, "image"),
    "data2vec_audio": ("Data2VecAudio", _SIZES | _CONVOLUTIONS | {"conv_pos_kernel_size": 3}, "sound"),
    "deit": ("DeiT", _IMAGES, "image"),
    "dinov2": ("Dinov2", _IMAGES | {"mlp_ratio": 2}, "image"),
    "dinov3": ("DINOv3ViT", _IMAGES, "image"),
    "hubert": ("Hubert", _SIZES | _CONVOLUTIONS, "sound"),
    "mobilenet": ("MobileNetV2", {"depth_multiplier": 0.25, "image_size": 16}, "image"),
    "moonshine": (
        "Moonshine",
        _IDS
        | {"hidden_size": 16, "intermediate_size": 24, "encoder_num_hidden_layers": 2}
        | {"decoder_num_hidden_layers": 1, "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4},
        "long sound",
    ),
    "regnet": ("RegNet", _STAGES | {"embedding_size": 4, "groups_width": 4}, "image"),
    "resnet": ("ResNet", _STAGES | {"embedding_size": 4}, "image"),
    "segformer": (
        "Segformer",
        _STAGES
        | {"num_encoder_blocks": 2, "sr_ratios": [2, 1], "patch_sizes": [3, 3], "strides": [2, 2]}
        | {"num_attention_heads": [1, 2], "mlp_ratios": [2, 2]},
        "image",
    ),
    "siglip_vision": ("SiglipVision", _IMAGES, "image"),
    "swin": (
        "Swin",
        {"image_size": 16, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2},
        "image",
    ),
    "videomae": ("VideoMAE", _IMAGES | {"num_frames": 4}, "video"),
    "vit": ("ViT", _IMAGES, "image"),
    "vit_mae": ("ViTMAE", _IMAGES, "image"),
    "wav2vec2": ("Wav2Vec2", _SIZES | _CONVOLUTIONS, "sound"),
    "wav2vec2_bert": ("Wav2Vec2Bert", _SIZES | {"feature_projection_input_dim": 8}, "features"),
    "wavlm": ("WavLM", _SIZES | _CONVOLUTIONS, "sound"),
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
    "features": lambda n: {"input_features": _random(n, 7, 8)},
    "image": lambda n: {"pixel_values": _random(n, 3, 16, 16)},
    "long sound": lambda n: {"input_values": _random(n, 4000)},
    "sound": lambda n: {"input_values": _random(n, 40)},
    "spectrogram": lambda n: {"input_values": _random(n, 16, 8)},
    "spectrum": lambda n: {"input_features": _random(n, 8, 20)},
    "video": lambda n: {"pixel_values": _random(n, 4, 3, 16, 16)},
}


def _random(*shape: int) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(0))
