"""What is wrong with a training is found and said: constant input of the head, missing classes, useless models."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyrepsim as rs
from pyrepsim.data.conllu import Sentence
from pyrepsim.data.squad import GoldAnswer, SquadExample
from pyrepsim.data.tagged import TaggedSentence
from pyrepsim.finetuning.facts import CONSTANT, NEVER_PREDICTED, NO_BETTER, facts_of_head, facts_of_scores
from pyrepsim.finetuning.preparation import FinetuningRequest
from pyrepsim.finetuning.tasks import get_task
from pyrepsim.finetuning.tasks.dependency import Parse
from pyrepsim.finetuning.tasks.sequence import SequenceExample
from pyrepsim.finetuning.tasks.squad import Answer
from tests.helpers.tiny_models import tiny_bert

LABELS = ("entailment", "neutral", "contradiction")
RECIPE = rs.TrainingRecipe(epochs=1, batch_size=4, max_length=24, learning_rate=1e-3)


def examples(labels: list[str]) -> list[SequenceExample]:
    return [SequenceExample(f"premise {n}", "h", label, f"x:{n}") for n, label in enumerate(labels)]


def facts(gold: list[str], predicted: list[str]) -> dict[str, Any]:
    task, data = get_task("mnli"), examples(gold)
    found = facts_of_scores(task, data, predicted, task.items(data, predicted))
    return {fact.name: fact for fact in found}


def test_a_model_at_the_majority_rate_is_named():
    gold = ["entailment"] * 40 + ["neutral"] * 30 + ["contradiction"] * 30
    found = facts(gold, ["entailment"] * 100)
    assert found.keys() == {NEVER_PREDICTED, NO_BETTER}
    assert found[NO_BETTER].value == 0
    assert found[NO_BETTER].text == (
        "A trained model must be better than a constant guess: its accuracy is 0.400, and that of the most frequent "
        "label, 'entailment', 0.400. Train longer, or with another learning rate, pooling or seed."
    )


@pytest.mark.parametrize(("n_better", "named"), [(4, True), (5, False), (60, False)])
def test_better_means_that_the_interval_is_above_zero(n_better: int, named: bool):
    """n of 100 items differ, all for the better, with SE^2 = p (1 - p) / 99 of p = n / 100.

    The kurtosis of such items, 1 / (p (1 - p)) - 3, leaves 9.1 and 11.8 degrees of freedom for n = 4 and 5: the half
    widths are 2.26 SE = 0.0445 and 2.18 SE = 0.0478.
    """
    gold = ["entailment"] * 40 + ["neutral"] * 30 + ["contradiction"] * 30
    predicted = ["entailment"] * 40 + gold[40 : 40 + n_better] + ["entailment"] * (60 - n_better)
    assert (NO_BETTER in facts(gold, predicted)) == named


def test_classes_that_are_never_predicted_are_named():
    gold = ["entailment"] * 5 + ["neutral"] * 3 + ["contradiction"] * 92
    found = facts_of_scores(get_task("mnli"), examples(gold), ["contradiction"] * 95 + ["neutral"] * 5, None)
    assert [(fact.name, fact.value) for fact in found] == [(NEVER_PREDICTED, 5.0)]
    assert "never predicts 'entailment', the label of 5 of 100 examples" in found[0].text
    assert not facts(gold, gold)


def test_each_fact_is_one_warning(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        found = facts(["entailment"] * 9 + ["neutral"] * 8, ["entailment"] * 17)
    assert [record.getMessage() for record in caplog.records] == [fact.text for fact in found.values()]


def test_readers_and_parsers_have_their_guesses():
    squad = get_task("squad")
    questions = [SquadExample(f"q{n}", "?", "north", (GoldAnswer("north", 0),), "x", f"{n}") for n in range(5)]
    for text, named in (("south", True), ("north", False)):
        answers = [(Answer(text, 0.0),)] * 5
        found = facts_of_scores(squad, questions, answers, squad.items(questions, answers))
        assert [fact.name for fact in found] == [NO_BETTER] * named
    parser = get_task("dependency")
    words = (3, 4, 2)
    trees = [
        Sentence(
            ("w",) * n, (*range(2, n + 1), 0), ("nsubj",) * (n - 1) + ("root",), ("X",) * n, ("X",) * n, "", f"x:{n}"
        )
        for n in words
    ]
    name, guessed = parser.constant_guess(trees) or ("", [])
    assert name == "a chain of 'nsubj' to the next word"
    assert guessed[0] == Parse((2, 3, 0), ("nsubj", "nsubj", "root"))
    items = parser.items(trees, guessed)
    assert items is not None
    assert items.score("las") == 1
    assert [fact.name for fact in facts_of_scores(parser, trees, guessed, items)] == [NO_BETTER]
    tagger = get_task("pos")
    tagged = [TaggedSentence(("a", "b"), ("X", "Y"), "x:1"), TaggedSentence(("c",), ("Y",), "x:4")]
    assert tagger.constant_guess(tagged) == ("the most frequent tag, 'Y',", [("Y", "Y"), ("Y",)])


# --- before training ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    words = ["river", "bank", "keys", "cabinet", "play", "run", "flows", "here"]
    path = tmp_path_factory.mktemp("data") / "films.tsv"
    lines = [f"{' '.join(rng.choice(words, size=int(rng.integers(2, 9))))}\t{n % 2}" for n in range(80)]
    path.write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose first token hardly reads the others: its state is a constant, except for its fifth digit."""
    folder = tiny_bert(tmp_path_factory.mktemp("model") / "model", layers=1, spread=0.2)
    from pyrepsim.models import load_encoder

    encoder = load_encoder(folder, device="cpu")
    module: Any = encoder.module
    with torch.no_grad():
        module.encoder.layer[0].attention.self.value.weight.mul_(1e-3)
    module.save_pretrained(folder)
    return folder


def ready(model: Path, task: str, data: Path) -> Any:
    sources = {"train": str(data), "dev": str(data), "test": None}
    return FinetuningRequest.from_arguments(
        model, task, sources=sources, recipe=RECIPE, ablation=None, device="cpu"
    ).prepare()


def test_a_constant_pooled_vector_is_named(constant: Path, data: Path, caplog: pytest.LogCaptureFixture):
    (fact,) = facts_of_head(ready(constant, "sst2", data))
    assert (fact.name, fact.value) == (CONSTANT, pytest.approx(1, abs=1e-5))
    assert fact.text == (
        "The vector that the head reads must differ between examples: with pooling='cls' its mean cosine between 64 "
        f"examples is {fact.value:.6f} before training. Use pooling='mean'."
    )
    assert [record.getMessage() for record in caplog.records][-1] == fact.text
    assert facts_of_head(ready(constant, "sst2(pooling='mean')", data)) == []


def test_the_mean_cosine_is_that_of_all_pairs(constant: Path, data: Path, monkeypatch: pytest.MonkeyPatch):
    prepared = ready(constant, "sst2(pooling='mean')", data)
    monkeypatch.setattr("pyrepsim.finetuning.facts.CONSTANT_COSINE", -1.0)
    (fact,) = facts_of_head(prepared)
    features = prepared.data["train"].features
    chosen = sorted({round(79 * i / 63) for i in range(64)})
    vectors = []
    for i in chosen:
        ids = torch.tensor([features[i].inputs["input_ids"]])
        with torch.no_grad():
            vectors.append(prepared.encoder.module.eval()(input_ids=ids).last_hidden_state[0].double().mean(0))
    pairs = [torch.cosine_similarity(a, b, dim=0) for i, a in enumerate(vectors) for b in vectors[:i]]
    assert fact.value == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-6)
    assert fact.text.endswith("Use another layer or model.")


def test_the_facts_are_in_the_record_of_a_run_and_of_an_exit(constant: Path, data: Path, tmp_path: Path):
    run = rs.finetune(
        constant, "sst2", train=data, dev=data, out=tmp_path / "run", recipe=RECIPE, device="cpu", progress=False
    )
    named = [fact["name"] for fact in run.record["facts"]]
    assert named[0] == CONSTANT
    assert {NEVER_PREDICTED, NO_BETTER} <= set(named)  # the head has learned nothing but the majority
    assert all(fact.keys() == {"name", "value", "text"} for fact in run.record["facts"])
    assert rs.open_run(run.folder).record["facts"] == run.record["facts"]
    rs.ablate("exit", run, out=tmp_path / "exits", device="cpu")
    from pyrepsim.core.resume import read_record

    record = read_record(tmp_path / "exits" / "exit-1-seed0" / "scores.json") or {}
    assert [fact["name"] for fact in record["facts"]] == named[1:]
    assert run.items().score("accuracy") == run.scores["dev"]["accuracy"]
