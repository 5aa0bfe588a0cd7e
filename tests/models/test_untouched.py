"""Every verb leaves a model in memory as it was, with flags, hooks and gradients, and the random state too."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import pyrepsim as rs
from pyrepsim.analysis.attention import attention_divergence
from pyrepsim.models.blocks import find_blocks
from tests.helpers.annotated_text import write_annotated_text
from tests.helpers.tiny_models import tiny_bert, tiny_gpt2, wordpiece

TEXTS = ["the keys to the cabinet are here", "the river bank", "plays"]
QUICK = {"projection": 8, "hidden": 8, "validate_every": 1, "max_validations": 1, "batch_size": 8}
RECIPE = rs.TrainingRecipe(epochs=1, batch_size=2, max_length=16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"bert": tiny_bert(root / "bert"), "gpt2": tiny_gpt2(root / "gpt2")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_annotated_text(tmp_path_factory.mktemp("data"), train=4, dev=2, test=2)
    lines = ["sentence\tlabel", "the river\tyes", "the bank\tno", "river keys\tyes", "run run\tno"]
    (root / "data.tsv").write_text("\n".join(lines) + "\n")
    return root


def in_training(folder: Path, kind: Any) -> Any:
    """A model in the middle of a training: mixed flags, gradients, hooks, and frozen weights."""
    torch.manual_seed(1)
    model = kind.from_pretrained(folder)
    model.train()
    named = dict(model.named_modules())
    for name, child in named.items():
        if name.endswith(("0.attention", "h.0.attn")):
            child.eval()
    for index, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(index % 3 != 0)
        if index % 2:
            parameter.grad = torch.randn_like(parameter)
    block = next(child for name, child in named.items() if name.endswith(("layer.1", "h.1")))
    block.register_forward_hook(lambda *_: None)
    block.register_forward_pre_hook(lambda *_: None)
    model.register_forward_hook(lambda *_: None)
    list(model.children())[-1].register_full_backward_hook(lambda *_: None)
    return model


def states() -> dict[str, Any]:
    """The random states."""
    array = np.random.get_state()  # noqa: NPY002
    return {"python": random.getstate(), "numpy": array[1].tobytes(), "at": array[2:], "torch": torch.get_rng_state()}


def snapshot(model: torch.nn.Module) -> dict[str, Any]:
    """All that must not change."""
    found: dict[str, Any] = {"gradients are recorded": torch.is_grad_enabled(), "threads": torch.get_num_threads()}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        gradient = None if tensor.grad is None else tensor.grad.clone()
        found[name] = (id(tensor), tensor.detach().clone(), gradient, tensor.requires_grad, tensor.device, tensor.dtype)
    for name, child in model.named_modules():
        hooks = [child._forward_hooks, child._forward_pre_hooks, child._backward_hooks, child._state_dict_hooks]
        found[f"module {name}"] = (child.training, [list(map(id, one.values())) for one in hooks], sorted(vars(child)))
    if hasattr(model, "config"):
        found["config"] = (model.config.to_dict(), model.config._attn_implementation)
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def assert_untouched(model: torch.nn.Module, call: Callable[[], Any]) -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    before, drawn = snapshot(model), states()
    call()
    after = snapshot(model)
    assert before.keys() == after.keys()
    assert [name for name in before if not same(before[name], after[name])] == []
    assert [name for name, state in states().items() if not same(drawn[name], state)] == []


Verb = Callable[[Any, Path, Path, Path], Any]


def probing(function: Callable[..., Any], task: str, **options: Any) -> Verb:
    def run(model: Any, base: Path, data: Path, out: Path) -> Any:
        source = data / "dependency" if task == "dependency" else data / "edge" / task
        files = {part: next(source.glob(f"{part}.*")) for part in ("train", "dev")}
        names = () if task == "dependency" else (task,)
        return function(model, *names, out=out / "probe", **files, **options)

    return run


def tuned(**options: Any) -> Verb:
    return lambda model, base, data, out: rs.finetune(
        model, TASK, out=out / "run", train=data / "data.tsv", dev=data / "data.tsv", recipe=RECIPE, **options
    )


TASK = "sequence(pooling='mean')"
VERBS: dict[str, Verb] = {
    "wrap": lambda model, base, data, out: rs.wrap(model),
    "load_encoder": lambda model, base, data, out: rs.load_encoder(model).batching,
    "find_blocks": lambda model, base, data, out: find_blocks(rs.wrap(model).module),
    "extract": lambda model, base, data, out: rs.extract(model, TEXTS, out / "store"),
    "extract words": lambda model, base, data, out: rs.extract(model, TEXTS, out / "store", words="mean"),
    "plan_extraction": lambda model, base, data, out: rs.plan_extraction(model, TEXTS),
    "compare_models": lambda model, base, data, out: rs.compare_models(model, base, TEXTS, "LinearCKA"),
    "compare_models with itself": lambda model, base, data, out: rs.compare_models(model, model, TEXTS, "LinearCKA"),
    "compare_revisions": lambda model, base, data, out: rs.compare_revisions(
        {"now": model, "then": base}, None, TEXTS, "LinearCKA", reference=model, out=out / "sweep"
    ),
    "profile": lambda model, base, data, out: rs.profile(model, texts=TEXTS),
    "attention_divergence": lambda model, base, data, out: attention_divergence(model, base, TEXTS),
    "weight_distance": lambda model, base, data, out: rs.weight_distance(model, base),
    "finetune": tuned(),
    "finetune with an ablation": tuned(ablation=rs.Ablation(freeze=1, reinit=1)),
    "plan_finetuning": lambda model, base, data, out: rs.plan_finetuning(
        model, TASK, train=data / "data.tsv", dev=data / "data.tsv", recipe=RECIPE
    ),
    "ablate": lambda model, base, data, out: rs.ablate(
        "layers", model, TASK, out=out / "run", values=[1], recipe=RECIPE,
        **dict.fromkeys(("train", "dev"), data / "data.tsv"),
    ),
    "plan_probing": probing(rs.plan_probing, "pos"),
    "probe_edge": probing(rs.probe_edge, "pos", recipe=QUICK, members=["mix", "lex"], figures=""),
    "probe_edge of random weights": probing(rs.probe_edge, "pos", recipe=QUICK, random_init=True, figures=""),
    "probe_mdl": probing(rs.probe_mdl, "pos", recipe=QUICK, members=["top"], fractions=(0.5, 1.0), figures=""),
    "probe_structural": probing(rs.probe_structural, "dependency", ranks=(4,), epochs=1, figures=""),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_verb_leaves_the_model_as_it_was(kind: str, verb: str, folders: dict[str, Path], data: Path, tmp_path: Path):
    head = {"bert": transformers.BertForSequenceClassification, "gpt2": transformers.GPT2LMHeadModel}[kind]
    model = in_training(folders[kind], head)
    assert_untouched(model, lambda: VERBS[verb](model, folders[kind], data, tmp_path))


def test_sparse_attention_is_back_after_a_model_was_read(tmp_path: Path):
    """BigBird switches itself to full attention in its first pass over a short text."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.BigBirdConfig(vocab_size=128, **sizes, block_size=4, num_random_blocks=1)
    torch.manual_seed(0)
    model, ids = transformers.BigBirdModel(config).eval(), torch.randint(5, 70, (1, 64))
    texts = ["the keys to the cabinet are here " * 6, "run"]

    def forward() -> torch.Tensor:
        np.random.seed(0)  # noqa: NPY002 - of random blocks
        with torch.no_grad():
            return model(ids).last_hidden_state

    before, kinds = forward(), [type(child) for child in model.modules()]
    encoder = rs.wrap(model, wordpiece(64))
    assert_untouched(model, lambda: rs.extract(encoder, texts, tmp_path / "store"))
    assert [type(child) for child in model.modules()] == kinds
    assert torch.equal(forward(), before)
    model.set_attention_type("original_full")
    full = rs.extract(rs.wrap(model, wordpiece(64)), texts, tmp_path / "full")
    assert full is not None
    assert np.array_equal(full["layer.1"], rs.open_store(tmp_path / "store")["layer.1"])


def test_the_snapshot_sees_changes(folders: dict[str, Path]):
    model = in_training(folders["bert"], transformers.BertForSequenceClassification)
    changes: list[Callable[[], Any]] = [
        lambda: model.bert.encoder.layer[0].eval(),
        lambda: model.bert.register_forward_hook(lambda *_: None),
        lambda: next(model.parameters()).data.add_(1),
        lambda: next(model.parameters()).requires_grad_(True),
        lambda: model.zero_grad(),
        lambda: torch.rand(1),
        lambda: random.random(),
        lambda: np.random.rand(),  # noqa: NPY002
        lambda: model.double(),
    ]
    for change in changes:
        with pytest.raises(AssertionError):
            assert_untouched(model, change)


def test_a_model_can_be_trained_after_it_was_read(folders: dict[str, Path], tmp_path: Path):
    model = in_training(folders["gpt2"], transformers.GPT2LMHeadModel)
    rs.extract(model, TEXTS, tmp_path / "store")
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    before = {name: weight.detach().clone() for name, weight in trained.items()}
    model.zero_grad()
    ids = torch.tensor([[5, 9, 17, 30]])
    model(input_ids=ids, labels=ids).loss.backward()
    torch.optim.SGD(trained.values(), lr=0.1).step()
    assert [name for name, weight in trained.items() if weight.grad is None] == []
    assert [name for name, weight in trained.items() if torch.equal(weight, before[name])] == []
