"""`compare_revisions`: branches of a hub id, checkpoints of a training, and lists of models against one reference."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import AutoModel

import pyrepsim as rs
from pyrepsim.core.errors import ModelError, OptionError, PyrepsimError
from pyrepsim.extraction.plan import tokens_text
from pyrepsim.models.source import ModelSource
from pyrepsim.models.wrapping import has_tokenizer
from pyrepsim.results import RevisionScores
from tests.extraction.revision_sweeps import MEASURES, SWEEP, TEXTS, Calls, changed, sweep
from tests.helpers.tiny_models import tiny_bert, tiny_gpt2

HUB_ID = "someone/tiny"


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Trainer leaves it: steps 5, 10 and 100, of which 5 and 10 have the same weights."""
    run = tiny_bert(tmp_path_factory.mktemp("runs") / "run")
    for step, seed in ((100, 3), (5, 1), (10, 1)):
        changed(run, run / f"checkpoint-{step}", seed)
    (run / "checkpoint-final").mkdir()
    (run / "checkpoint-7").write_text("no folder")
    return run


@pytest.fixture
def hub(different: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache, offline, with branches of one id: `step1` has no tokenizer, and `step2` serves the final weights."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    branches = {"step0": "m1", "step1": "m2", "step2": "base", "main": "base"}
    for number, (branch, model) in enumerate(branches.items()):
        snapshot = repository / "snapshots" / f"{number:040d}"
        shutil.copytree(different[model], snapshot)
        (repository / "refs" / branch).write_text(snapshot.name)
    for file in (repository / "snapshots" / f"{1:040d}").glob("*token*"):
        file.unlink()
    return tmp_path / "hub"


def assert_equals_compare_models(
    result: RevisionScores, reference: Any, models: dict[str, Any], measures: Any = None, **options: Any
) -> None:
    assert list(result) == list(models)
    for name, model in models.items():
        wanted = rs.compare_models(reference, model, TEXTS, measures or MEASURES, **{**SWEEP, **options})
        found = result[name]
        assert [(s.measure, s.layer_x, s.layer_y) for s in found] == [(s.measure, s.layer_x, s.layer_y) for s in wanted]
        assert [s.n_samples for s in found] == [s.n_samples for s in wanted]
        np.testing.assert_allclose([s.value for s in found], [s.value for s in wanted], rtol=0, atol=1e-12)


def test_checkpoints_of_a_trainer_in_the_order_of_their_steps(training: Path):
    result = sweep(training)
    folders = {f"checkpoint-{step}": training / f"checkpoint-{step}" for step in (5, 10, 100)}
    assert result.reference == "checkpoint-100"
    assert_equals_compare_models(result, folders["checkpoint-100"], folders)
    assert [s.value for s in result["checkpoint-100"]] == pytest.approx([1.0] * 9, abs=1e-12)
    provenance = result["checkpoint-5"][0].provenance
    assert provenance["revision"] == "checkpoint-5"
    assert provenance["model_x"] == str(folders["checkpoint-100"])
    assert provenance["weights_y"] == rs.load_encoder(folders["checkpoint-5"], device="cpu").weights
    assert not {"store_x", "store_y"} & provenance.keys()
    compared = rs.compare_models(folders["checkpoint-100"], folders["checkpoint-5"], TEXTS, MEASURES, **SWEEP)
    assert provenance["texts"] == compared[0].provenance["texts"]
    assert provenance["policy"] == compared[0].provenance["policy"]


def test_checkpoints_of_finetune(different: dict[str, Path], tmp_path: Path):
    run = shutil.copytree(different["base"], tmp_path / "run")
    for name, step in (("m1", 16), ("m2", 2)):
        shutil.copytree(different[name], run / "checkpoints" / f"step-{step}")
    result = sweep(run, reference=run)
    assert_equals_compare_models(result, run, {f"step-{n}": run / "checkpoints" / f"step-{n}" for n in (2, 16)})
    assert result.reference == str(run)
    assert list(sweep(run, ["step-16", "step-2"])) == ["step-16", "step-2"]
    with pytest.raises(ModelError, match=r"has no 'step-3'. It has step-2, step-16"):
        sweep(run, ["step-2", "step-3"])
    with pytest.raises(ModelError, match="has none. Give another folder"):
        sweep(different["base"])


def test_branches_of_a_hub_id(hub: Path, different: dict[str, Path], caplog: pytest.LogCaptureFixture):
    result = sweep(HUB_ID, ["step0", "step1", "step2", "main"])
    models = {"step0": different["m1"], "step1": different["m2"], "step2": different["base"], "main": different["base"]}
    assert_equals_compare_models(result, different["base"], models)
    provenance = result["step1"][0].provenance
    assert (provenance["model_x"], provenance["revision_x"]) == (f"{HUB_ID}@main", f"{3:040d}")
    assert (provenance["model_y"], provenance["revision_y"]) == (f"{HUB_ID}@step1", f"{1:040d}")
    assert result.equal_weights == (("step2", "main"),)
    assert (
        "Equal weights: step2 = main. Check that these revisions hold what their names say. Not computed" in caplog.text
    )
    assert caplog.text.count("Equal weights") == 1
    assert [record["same_weights_as"] for record in result.to_records()][-1] == "step2"
    assert result["main"][0].provenance["same_weights_as"] == "step2"


def test_a_revision_that_does_not_exist_is_named_before_anything_is_computed(hub: Path, calls: Calls, tmp_path: Path):
    with pytest.raises(ModelError, match=rf"'{HUB_ID}' at revision 'step9' .* --revision step9` and give the folder"):
        sweep(HUB_ID, ["step0", "step9"], out=tmp_path / "out")
    assert calls.loaded == []
    assert not (tmp_path / "out").exists()


def test_files_of_a_tokenizer_on_the_hub(hub: Path):
    for number, has in ((0, True), (1, False)):
        assert has_tokenizer(ModelSource(HUB_ID, HUB_ID, f"{number:040d}")) is has
    with pytest.raises(ModelError, match=f"did not deliver the files of '{HUB_ID}'"):
        has_tokenizer(ModelSource(HUB_ID, HUB_ID, f"{9:040d}"))


def test_equal_weights_are_computed_once(training: Path, calls: Calls):
    result = sweep(training)
    assert calls.compared == 2
    assert [s.value for s in result["checkpoint-5"]] == [s.value for s in result["checkpoint-10"]]
    assert result.equal_weights == (("checkpoint-5", "checkpoint-10"),)


def test_equal_weights_with_another_configuration_are_computed_again(
    different: dict[str, Path], calls: Calls, tmp_path: Path
):
    copy = shutil.copytree(different["m1"], tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    result = sweep({"a": different["m1"], "b": copy, "final": different["base"]})
    assert calls.compared == 3
    assert result.equal_weights == (("a", "b"),)
    assert result["a"][-1].value != result["b"][-1].value
    assert_equals_compare_models(
        result, different["base"], {"a": different["m1"], "b": copy, "final": different["base"]}
    )


def test_the_reference_counts_among_equal_weights(different: dict[str, Path], tmp_path: Path):
    copy = shutil.copytree(different["base"], tmp_path / "copy")
    result = sweep({"a": different["m1"], "b": different["base"]}, reference=copy)
    assert result.equal_weights == ((str(copy), "b"),)


def test_the_order_of_revisions_does_not_matter(different: dict[str, Path], training: Path, hub: Path):
    names = ["step0", "step1", "step2", "main"]
    wanted = sweep(HUB_ID, names, reference="step0")
    shuffled = ["main", "step1", "step0", "step2"]
    found = sweep(HUB_ID, shuffled, reference="step0")
    assert list(found) == shuffled
    assert [found[name] for name in names] == [wanted[name] for name in names]
    assert sweep(HUB_ID, names[:2], reference=f"{HUB_ID}@step0").reference == "step0"


def test_models_in_memory(different: dict[str, Path], calls: Calls):
    modules = {name: AutoModel.from_pretrained(different[name]) for name in ("m1", "m2")}
    encoder = rs.load_encoder(different["base"], device="cpu")
    result = sweep({**modules, "final": encoder})
    assert result.reference == "final"
    assert_equals_compare_models(result, encoder, {**modules, "final": encoder})
    assert sweep([*modules.values(), encoder], reference=modules["m1"]).reference == str(different["m1"])
    with pytest.raises(OptionError, match="need different names: two are called"):
        sweep([modules["m1"], modules["m1"]])


def test_modules_with_equal_weights_and_hooks_are_both_computed(different: dict[str, Path], calls: Calls):
    plain, steered = (AutoModel.from_pretrained(different["m1"]) for _ in range(2))
    steered.encoder.layer[0].register_forward_hook(lambda _, __, output: output * 2)
    result = sweep({"plain": plain, "steered": steered, "final": different["base"]})
    assert result.equal_weights == (("plain", "steered"),)
    assert calls.compared == 3
    assert result["plain"].select(layer_x="layer.1")[0].value != result["steered"].select(layer_x="layer.1")[0].value
    assert sweep({"plain": plain, "steered": steered}, reference=steered).reference == "steered"


@pytest.mark.parametrize(
    "layers",
    [
        ["layer.*.mlp", ("layer.0.mlp", "layer.1")],
        [("embeddings", "layer.1"), ("layer.1", "layer.0.attention")],
        [0, -1],
        "all",
        "best",
        "relative",
        "same",
    ],
)
def test_layers_and_hook_points(layers: Any, different: dict[str, Path]):
    models = {name: different[name] for name in ("m1", "base")}
    assert_equals_compare_models(sweep(models, layers=layers), different["base"], models, layers=layers)


@pytest.mark.parametrize("rows", [None, "document"])
@pytest.mark.parametrize("tokens", ["all", "last", "-2:", lambda columns: columns["position"] % 2 == 0])
def test_tokens(tokens: Any, rows: str | None, different: dict[str, Path]):
    models = {name: different[name] for name in ("m1", "base")}
    options = {"tokens": tokens, "rows": rows}
    result = sweep(models, **options)
    assert_equals_compare_models(result, different["base"], models, **options)
    compared = rs.compare_models(different["base"], different["m1"], TEXTS, "RSA", **SWEEP, **options)[0].provenance
    found = result["m1"][0].provenance
    assert {name: found[name] for name in ("texts", "policy")} == {name: compared[name] for name in ("texts", "policy")}
    assert found["tokens"] == tokens_text(tokens)


def test_models_with_different_tokenizers(different: dict[str, Path], tmp_path: Path):
    models = {"gpt2": tiny_gpt2(tmp_path / "gpt2"), "base": different["base"]}
    with pytest.raises(PyrepsimError, match="words='first' or"):
        sweep(models)
    assert_equals_compare_models(sweep(models, words="mean"), different["base"], models, words="mean")
    assert_equals_compare_models(sweep(models, rows="document"), different["base"], models, rows="document")


def test_options_of_models_are_those_of_compare_models(different: dict[str, Path]):
    models = {name: different[name] for name in ("m1", "base")}
    options = {"model_dtype": "bfloat16", "long": "window", "max_length": 12}
    result = sweep(models, **options)
    assert_equals_compare_models(result, different["base"], models, **options)
    assert result["m1"][0].provenance["model_dtype_y"] == "bfloat16"


def test_measures_of_rows_and_intervals_equal_those_of_stores(different: dict[str, Path], tmp_path: Path):
    measures = ["KernelCKA", "MutualKNN", "LinearCKA(debiased=True)"]
    result = sweep([different["m1"], different["base"]], measures=measures, interval="Jackknife(blocks=5)")
    base = rs.extract(different["base"], TEXTS, tmp_path / "x", dtype="float32", device="cpu")
    other = rs.extract(different["m1"], TEXTS, tmp_path / "y", dtype="float32", device="cpu", same_plan_as=base)
    wanted = rs.compare(base, other, measures, interval="Jackknife(blocks=5)", n_threads=1)
    found = result[str(different["m1"])]
    assert found == wanted
    assert [s.interval for s in found] == [s.interval for s in wanted]
    assert found[0].details["interval"]["standard_error"] == wanted[0].details["interval"]["standard_error"]


def test_what_cannot_be_swept(training: Path, different: dict[str, Path], hub: Path):
    batches = [torch.ones(2, 3)]
    cases: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
        (HUB_ID, None, {}, OptionError, "needs revisions"),
        (HUB_ID, ["main"], {}, OptionError, "at least two"),
        (HUB_ID, "main", {}, OptionError, "list of names"),
        (HUB_ID, [0, 1], {}, OptionError, "Give text"),
        ("./nowhere", None, {}, ModelError, "must be an existing folder"),
        ([], None, {}, OptionError, "at least two"),
        ([different["m1"], different["base"]], ["a"], {}, OptionError, "Leave it out"),
        (AutoModel.from_pretrained(different["m1"]), None, {}, OptionError, "several models: got one BertModel"),
        (training, None, {"layers": "some"}, OptionError, "layers must be"),
        (training, None, {"layers": {"a": "b"}}, OptionError, "layers must be"),
        (training, None, {"measures": "CKB"}, OptionError, "CKB"),
        (training, None, {"interval": "Jackknives"}, OptionError, "Jackknives"),
        (training, None, {"tokens": np.ones(3, bool)}, OptionError, "boolean array"),
        (training, None, {"tokens": "cls", "words": "mean"}, OptionError, "no special tokens"),
        (training, None, {"reference": "./nowhere"}, ModelError, "must be an existing folder"),
        (training, None, {"texts": batches}, OptionError, "reads texts"),
        (training, None, {"rows": "item"}, OptionError, "reads texts"),
        (training, None, {"layers": [9]}, PyrepsimError, "got 9"),
    ]
    for model, revisions, options, error, message in cases:
        given = {"texts": TEXTS, "measures": "LinearCKA", **SWEEP, **options}
        with pytest.raises(error, match=message):
            rs.compare_revisions(model, revisions, given.pop("texts"), given.pop("measures"), **given)
    with pytest.raises(TypeError, match="unexpected keyword argument 'revision'"):
        sweep(training, revision="main")


def test_every_other_compare_option_is_recorded_or_irrelevant(different: dict[str, Path], caplog: Any):
    """Threads and memory change no bit; a sweep says which revision is read."""
    models = [different["m1"], different["base"]]
    with caplog.at_level(logging.INFO, logger="pyrepsim.extraction"):
        one = sweep(models)
    assert f"1 of 2: {different['m1']}" in caplog.text
    assert sweep(models, n_threads=2, memory="2GB").scores == one.scores


def test_a_layer_that_is_constant_in_one_revision_has_no_value_there(
    different: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    model = AutoModel.from_pretrained(different["m1"])
    with torch.no_grad():
        model.encoder.layer[-1].output.LayerNorm.weight.zero_()
    model.save_pretrained(shutil.copytree(different["base"], tmp_path / "constant"))
    result = sweep(
        {"a": different["m1"], "constant": tmp_path / "constant", "final": different["base"]}, measures="CCA"
    )
    values = {name: [bool(np.isnan(score.value)) for score in scores] for name, scores in result.items()}
    assert values == {"a": [False] * 3, "constant": [False, False, True], "final": [False] * 3}
    assert "undefined" in result["constant"][-1].details
    assert caplog.text.count("not defined") == 1


def test_one_warning_for_all_revisions_of_few_rows(different: dict[str, Path], caplog: pytest.LogCaptureFixture):
    models = {name: different[name] for name in ("m1", "m2", "base")}
    rs.compare_revisions(models, None, ["the river bank"], "LinearCKA", **SWEEP)
    assert caplog.text.count("fewer rows than features") == 1
    assert "9 of 9 values" in caplog.text
    with pytest.raises(OptionError, match="An interval of the best"):
        sweep(models, layers="best", interval="Jackknife")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft
def test_one_model_with_its_adapter_on_and_off(different: dict[str, Path]):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(target_modules=["query"], init_lora_weights=False)
    model = peft.get_peft_model(AutoModel.from_pretrained(different["base"]), config)
    on, off = (rs.wrap(model, adapter=adapter) for adapter in ("on", "off"))
    result = sweep({"on": on, "off": off}, reference=off)
    assert result.reference == "off"
    assert_equals_compare_models(result, off, {"on": on, "off": off})
    assert result["on"][-1].value < 0.999
