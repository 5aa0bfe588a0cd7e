"""The families of docs/architectures.md: what kind each is, which points it lacks, what is refused, and why.

Whatever is not listed here works. A reason is a part of the error's text. How the models are built is in
tests/helpers/architectures.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.helpers.architectures import OTHER_MODELS, TEXT_MODELS

__all__ = ["COLUMNS", "FAMILIES", "IN_CI", "PARTS", "SENTENCES", "Family", "Lack"]

COLUMNS = ("extract", "compare_models", "hook points", "positions", "finetune")

ATTENTION = ("attention.input", "queries", "keys", "values", "heads", "heads.0", "attention")
MLP = ("mlp.input", "neurons", "mlp")
PARTS = ("input", *ATTENTION, *MLP, "output")
"""Parts of each block, as in docs/hooks.md; with experts also those below."""
EXPERTS = ("router", "experts")

_EACH = "each expert has its own, and reads a part of the tokens"


@dataclass(frozen=True)
class Lack:
    """Points of blocks that a family does not have; `label` is what the page says of them."""

    label: str
    names: tuple[str, ...]
    reason: str
    layers: tuple[int, ...] = (0, 1)

    def full_names(self) -> list[str]:
        return [f"layer.{layer}.{name}" for layer in self.layers for name in self.names]


@dataclass(frozen=True, eq=False)
class Family:
    """One row of the page."""

    name: str
    kind: str
    model: str
    """The class, as the page shows it."""
    lacks: tuple[Lack, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """From a column to a part of the error's text."""
    note: str = ""
    """What the page says about the rows."""
    late: bool = False
    """Whether hidden states of transformers begin with the output of the first block."""

    @property
    def is_text(self) -> bool:
        return self.name in TEXT_MODELS

    @property
    def missing(self) -> dict[str, str]:
        """The reason for each point that it lacks."""
        return {name: lack.reason for lack in self.lacks for name in lack.full_names()}

    def points(self, n_layers: int = 2) -> list[str]:
        """The points that it has in every block."""
        expected = [f"layer.{layer}.{part}" for layer in range(n_layers) for part in PARTS]
        with_experts = [name for name, reason in self.missing.items() if reason == _EACH]
        expected += [name.replace("neurons", part) for name in with_experts for part in EXPERTS]
        return [name for name in expected if name not in self.missing]


_KINDS = {
    "text encoder": (
        *("albert", "bert", "big_bird", "clip_text", "convbert", "deberta", "distilbert", "electra", "esm", "eurobert"),
        *("fnet", "funnel", "layoutlm", "longformer", "mobilebert", "modernbert", "mpnet", "nomic_bert", "reformer"),
        *("roberta", "squeezebert", "xlm_roberta", "xlnet"),
    ),
    "decoder": (
        *("bloom", "codegen", "cohere2", "falcon", "gemma2", "gemma3", "glm4", "gpt2", "gpt_bigcode", "gpt_neox"),
        *("gptj", "llama", "mistral", "mpt", "nemotron", "olmo2", "olmo3", "opt", "phi3", "qwen2", "qwen3", "smollm3"),
        "starcoder2",
    ),
    "mixture of experts": (
        *("deepseek", "glm4_moe", "gpt_oss", "llama4", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"),
    ),
    "recurrent, state space": ("mamba", "mamba2", "rwkv"),
    "hybrid": ("falcon_h1", "jamba", "lfm2", "qwen3_5", "qwen3_next", "recurrent_gemma"),
    "encoder-decoder": ("bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "switch", "t5", "umt5"),
    "vision": (
        *("beit", "clip_vision", "convnext", "deit", "dinov2", "dinov3", "mobilenet", "regnet", "resnet", "segformer"),
        *("siglip_vision", "swin", "vit", "vit_mae"),
    ),
    "video": ("videomae",),
    "sound": (*("ast", "data2vec_audio", "hubert", "moonshine", "wav2vec2", "wav2vec2_bert", "wavlm", "whisper"),),
    "image and text": ("clip_both",),
    "own module": ("own_cnn", "own_transformer"),
}
_NAMED = {
    "clip_both": "`CLIPModel`, both towers by `forward=`",
    "own_cnn": "a CNN with a DataLoader",
    "own_transformer": "`torch.nn.TransformerEncoderLayer`s with a DataLoader",
}
_UNKNOWN = "the block has no projections of queries, keys and values by known names"
_SCALED = "the output of layers.1.feed_forward.experts is float32 of shape"
_CHOSEN = "the output of block.1.layer.1.mlp.router is int64"
_NO_MLP = "are not one or two that read the same and one after them"
_NARROW = "no output projection to 16 features follows"
_RANDOM = "The same batch must give the same rows each time"
_LATENT = "DeepseekV3Attention computes it from a common projection"
_RECURRENT = "the block has two modules 'key'"
_MIXED = "its 16 features cannot be divided among 2 heads"
_NO_BLOCKS = "the model has no list of blocks that read its hidden states"


def _neurons(*layers: int) -> Lack:
    return Lack("without `neurons`", ("neurons",), _EACH, layers)


def _attention(reason: str, *layers: int) -> Lack:
    where = "" if layers == (0, 1) else f" of block {layers[0]}"
    return Lack(f"without attention{where}", ATTENTION, reason, layers)


_LACKS: dict[str, tuple[Lack, ...]] = {
    **dict.fromkeys(("gpt_oss", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"), (_neurons(0, 1),)),
    "glm4_moe": (_neurons(1),),
    **dict.fromkeys(("lfm2", "qwen3_5", "recurrent_gemma"), (_attention(_UNKNOWN, 0),)),
    **dict.fromkeys(
        ("convnext", "fnet", "mamba", "mamba2", "regnet", "resnet", "swin"),
        (Lack("without attention and MLP", (*ATTENTION, *MLP), _UNKNOWN),),
    ),
    **dict.fromkeys(
        ("longformer", "squeezebert", "clip_both", "mobilenet", "own_cnn", "own_transformer", "segformer"),
        (Lack("by paths alone", PARTS, _NO_BLOCKS),),
    ),
    "convbert": (Lack("without single heads", ("heads.0",), _MIXED),),
    "deepseek": (
        Lack("without `keys` and `values`", ("keys", "values"), _LATENT),
        _neurons(1),
    ),
    "jamba": (_attention(_UNKNOWN, 0), _neurons(1)),
    "llama4": (_neurons(1), Lack("without `experts`", ("experts",), _SCALED, (1,))),
    "switch": (_neurons(1), Lack("without `router`", ("router",), _CHOSEN, (1,))),
    "mobilebert": (Lack("without attention and MLP", (*ATTENTION, *MLP), _NARROW),),
    "wav2vec2_bert": (Lack("without MLP", MLP, _NO_MLP),),
    "qwen3_next": (_attention(_UNKNOWN, 0), _neurons(0, 1)),
    **dict.fromkeys(("wavlm", "xlnet"), (_attention(_UNKNOWN, 0, 1),)),
    "rwkv": (
        _attention(_RECURRENT, 0, 1),
        Lack("without MLP", MLP, _NO_MLP),
    ),
}
_POOLED = "because it pads or pools them"
_POOLS = dict.fromkeys(COLUMNS, _POOLED)
_REFUSED: dict[str, dict[str, str]] = {"funnel": _POOLS, "reformer": _POOLS}
_REFUSED["vit_mae"] = dict.fromkeys(COLUMNS[:4], _RANDOM)
_NOTES = dict.fromkeys(("convbert", "fnet", "mobilebert"), "one text at a time, because it reads padding")
_LATE = ("mamba", "mamba2", "rwkv")
_TEXTS = "Texts are read by a model"
_TEXT_ONLY = {"finetune": _TEXTS}
SENTENCES = {
    _LATENT: "a common projection computes keys and values",
    _MIXED: "what the output projection reads are results of heads and of convolutions",
    _NARROW: "no output projection to the width of the block follows the attention",
    _NO_MLP: "an MLP is one or two linear maps that read the same, and one after them; this part is something else",
    _POOLED: "every hidden state must have one row per token; this model pads or pools them",
    _RANDOM: "the same batch must give the same rows each time; this model masks random patches",
    _RECURRENT: "two modules of the block are called `key`, and neither is part of an attention",
    _SCALED: "every expert reads every token, and the sum is taken later",
    _CHOSEN: "the router gives the chosen expert first, and not its logits",
    _TEXTS: "texts are read by a model that gives hidden states for token ids",
}
"""What the page says in the place of a part of a message."""


def _families() -> dict[str, Family]:
    found = {}
    for kind, names in _KINDS.items():
        for name in names:
            refused = _REFUSED.get(name, {})
            if name not in TEXT_MODELS:
                refused = _TEXT_ONLY | refused
            classes = TEXT_MODELS.get(name) or OTHER_MODELS.get(name)
            model = _NAMED.get(name) or f"`{classes[0]}Model`"  # type: ignore[index]
            lacks, note = _LACKS.get(name, ()), _NOTES.get(name, "")
            found[name] = Family(name, kind, model, lacks, refused, note, name in _LATE)
    return found


FAMILIES = _families()
IN_CI = (
    *("bert", "fnet", "funnel", "gpt2", "llama", "qwen2", "mixtral", "mamba", "jamba", "qwen3_next", "t5", "vit"),
    *("resnet", "dinov3", "videomae", "wav2vec2", "whisper", "clip_both", "own_cnn", "own_transformer"),
)
"""The families that `make test` checks; `make models` checks all."""
