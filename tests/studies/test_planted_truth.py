"""Statistics of change where the truth is planted: changed blocks are found, equal models are equal, gaps have signs.

Real forward passes of a small random BERT; only coverage, which needs hundreds of repetitions, has made-up activations.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="no transformers: extraction needs the extra [torch]")

import torch

import pyrepsim as rs
from pyrepsim.core.errors import OptionError
from pyrepsim.models import Encoder, load_encoder
from pyrepsim.studies.merchant2020.claims import judge
from pyrepsim.studies.merchant2020.claims.curves import (
    MEAN,
    MIDDLE,
    STATISTICS,
    centre_of_change,
    curve_statistics,
    drops,
    first_change,
    middle_similarity,
    thirds,
    top_share,
)
from pyrepsim.studies.merchant2020.claims.replicates import Replicates
from pyrepsim.studies.merchant2020.contrasts import gap_rows
from pyrepsim.studies.merchant2020.plan import StudyModel
from tests.helpers.tiny_models import tiny_bert

DEPTH = 6
MEASURES = ["RSA", "LinearCKA(debiased=True)", "Procrustes"]
SHARED_WORDS = ["the", "to", "are", "run", "un"]
DOMAINS = {"in": ["river", "bank", "flows"], "out": ["keys", "cabinet", "here", "play"]}
ROUNDING = 1e-9  # of sums in float64 over some hundred rows


def texts_of(domain: str, n: int = 72) -> list[str]:
    rng = np.random.default_rng(len(domain))
    words = SHARED_WORDS + DOMAINS[domain.split()[0]] * 2
    return [" ".join(rng.choice(words, size=rng.integers(6, 14))) for _ in range(n)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("planted") / "base", layers=DEPTH, spread=0.2)


@pytest.fixture(scope="module")
def changed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A copy of the base whose named blocks moved by noise, and whose rows of some words were scaled."""

    def change(*blocks: int, noise: float = 0.1, scaled: tuple[str, ...] = (), seed: int = 1) -> Path:
        folder = tmp_path_factory.mktemp("changed")
        encoder = load_encoder(base, device="cpu")
        module: Any = encoder.module
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for block in blocks:
                for parameter in module.encoder.layer[block - 1].parameters():
                    parameter += noise * torch.randn(parameter.shape, generator=generator)
            for word in scaled:
                module.embeddings.word_embeddings.weight[encoder.tokenizer.convert_tokens_to_ids(word)] *= 2.0
        module.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        return folder

    return change


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path | Encoder, str], rs.ActivationStore]:
    """Stores of a model on a domain's texts, each made once."""
    made: dict[Any, rs.ActivationStore] = {}

    def extract(model: Path | Encoder, domain: str) -> rs.ActivationStore:
        if (model, domain) not in made:
            out = tmp_path_factory.mktemp("store") / "acts"
            made[model, domain] = rs.extract(model, texts_of(domain), out, dtype="float32", device="cpu")
        return made[model, domain]

    return extract


def compared(x: rs.ActivationStore, y: rs.ActivationStore, measures: Any = MEASURES) -> rs.Scores:
    scores = rs.compare(x, y, measures, interval=rs.Jackknife(blocks=12), n_threads=1, progress=False)
    assert isinstance(scores, rs.Scores)
    return scores


def curves(scores: rs.Scores) -> dict[str, list[float]]:
    return {name: [score.value for score in scores if score.measure == name] for name in scores.measures}


# --- a changed block is found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 3, 6])
def test_a_changed_block_is_found_by_every_measure_and_by_weights(block: int, base: Path, changed, extracted):
    tuned = changed(block)
    scores = compared(extracted(base, "in"), extracted(tuned, "in"))
    for name, curve in curves(scores).items():
        assert curve[:block] == pytest.approx([1.0] * block, abs=ROUNDING), name
        assert first_change(curve) == block
        assert drops(curve)[block] > 0.02
        assert block - ROUNDING <= centre_of_change(curve) < block + 2  # what blocks above make of it comes on top
    moved = {row["layer"]: row["distance"] for row in rs.weight_distance(base, tuned) if row["module"] == "all"}
    assert [layer for layer, distance in moved.items() if distance] == [f"layer.{block - 1}"]


def test_two_changed_blocks_are_found_from_the_lower_on(base: Path, changed, extracted):
    scores = compared(extracted(base, "in"), extracted(changed(2, 5), "in"))
    for curve in curves(scores).values():
        assert first_change(curve) == 2
        assert drops(curve)[5] > 0.01


def test_statistics_of_a_changed_block_have_narrow_intervals_around_it(base: Path, changed, extracted):
    found = {
        one.statistic: one
        for one in curve_statistics(compared(extracted(base, "in"), extracted(changed(6), "in"), "RSA"))
    }
    assert found.keys() == STATISTICS.keys()
    centre, share, middle, _mean = found.values()
    assert (centre.value, centre.low, centre.high) == pytest.approx((6, 6, 6), abs=1e-6)
    assert (share.value, share.low, share.high) == pytest.approx((1, 1, 1), abs=1e-6)
    assert (middle.low, middle.high) == pytest.approx((1, 1), abs=1e-6)


def test_joint_intervals_are_narrower_than_those_from_layers(base: Path, changed, extracted):
    """Layers vary together from text to text: the centre of change is known better than its layers one by one."""
    scores = compared(extracted(base, "in"), extracted(changed(2, 4, 6), "in"), "RSA")
    joint = next(one for one in curve_statistics(scores) if one.statistic == "centre of change")
    rows = rows_of(scores, "mnli") + baseline_rows()
    boxed = judge(rows + parsing_like(rows))[-1]["tasks"][0]
    assert joint.low < joint.value < joint.high
    assert joint.high - joint.low < boxed["high"] - boxed["low"]


# --- equal models are equal -----------------------------------------------------------------------------------------


def test_identical_models_show_no_change_in_anything(base: Path, changed, extracted):
    scores = compared(extracted(base, "in"), extracted(changed(), "in"))
    for name, curve in curves(scores).items():
        assert curve == pytest.approx([1.0] * (DEPTH + 1), abs=ROUNDING), name
        assert first_change(curve) is None
        assert np.isnan(centre_of_change(curve))
        assert np.isnan(top_share(curve))
    assert {one.statistic for one in curve_statistics(scores)} == {MIDDLE, MEAN}
    assert {row["distance"] for row in rs.weight_distance(base, changed())} <= {0.0, None}


def test_identical_models_support_no_claim_of_change(base: Path, changed, extracted):
    rows, gaps = [], {}
    for task in ("mnli", "squad", "dependency"):
        inside = compared(extracted(base, "in"), extracted(changed(), "in"), "RSA")
        outside = compared(extracted(base, "out"), extracted(changed(), "out"), "RSA")
        rows += rows_of(inside, task)
        gaps[task] = outside, inside
    verdicts = {claim["claim"]: claim["verdict"] for claim in judge(rows + baseline_rows() + domain_rows(gaps))}
    assert verdicts.pop("C5") == "does not hold"  # parsing reconfigured nothing
    assert not {"holds", "does not hold"} & set(verdicts.values()), verdicts


# --- gaps between domains -------------------------------------------------------------------------------------------


def test_a_planted_gap_between_domains_has_its_sign_and_interval(base: Path, changed, extracted):
    """Text with the words whose embeddings moved changes more, at every layer; of the other task's model not."""
    tuned, other = changed(6, noise=0.05, scaled=tuple(DOMAINS["in"])), changed(6, noise=0.05, seed=2)
    of_models = {
        task: tuple(compared(extracted(base, one), extracted(model, one), "RSA") for one in ("out", "in"))
        for task, model in (("mnli", tuned), ("squad", other))
    }
    rows = domain_rows(of_models)
    for row in rows:
        if row["metric"] == "RSA minus other tasks":
            assert row["low"] > 0
            assert row["p_holm"] < 0.01
    assert c6_of(rows) == "holds"
    turned = {task: (inside, outside) for task, (outside, inside) in of_models.items()}
    assert c6_of(domain_rows(turned)) == "does not hold"


def test_without_a_planted_gap_none_is_claimed(base: Path, changed, extracted):
    """Other texts of the same domain: the gap of two samples is chance."""
    of_models = {
        task: tuple(compared(extracted(base, one), extracted(model, one), "RSA") for one in ("in", "in again"))
        for task, model in (("mnli", changed(6, noise=0.05)), ("squad", changed(6, noise=0.05, seed=2)))
    }
    assert c6_of(domain_rows(of_models)) == "undecided"


def generated(rng: np.random.Generator, noise: float, *, documents: int = 16, rows: int = 6, width: int = 5) -> Any:
    """Activations before and after: rows of a document resemble each other, and so does what changed in them."""
    shape = (documents, rows, width)
    before = rng.normal(size=(documents, 1, width)) + 0.2 * rng.normal(size=shape)
    after = before + noise * (rng.normal(size=(documents, 1, width)) + 0.1 * rng.normal(size=shape))
    return before.reshape(-1, width), after.reshape(-1, width)


def covers_no_gap(rng: np.random.Generator, *, noises: tuple[float, float], shuffled: bool = False) -> bool:
    plan, scores = rs.Jackknife(blocks=16), []
    for noise in noises:
        before, after = generated(rng, noise)
        order = rng.permutation(len(before)) if shuffled else slice(None)
        scores.append(rs.compare(before[order], after[order], ["LinearCKA(debiased=True)"], interval=plan, n_threads=1))
    (gap,) = rs.differences(*scores, paired=False)
    assert gap.interval is not None
    return gap.interval[0] <= 0 <= gap.interval[1]


def coverage(repetitions: int, **planted: Any) -> float:
    rng = np.random.default_rng(5)
    return sum(covers_no_gap(rng, **planted) for _ in range(repetitions)) / repetitions


def test_no_gap_is_covered_in_95_of_100_repetitions():
    """Within three standard errors of a binomial share of 120."""
    assert coverage(120, noises=(0.7, 0.7)) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 120))


def test_a_gap_is_not_covered():
    assert coverage(20, noises=(0.3, 1.5)) < 0.2


def test_rows_taken_as_independent_would_cover_too_little():
    """The control of the 95 %: the same rows shuffled, so that blocks know nothing of documents."""
    assert coverage(40, noises=(0.7, 0.7), shuffled=True) < 0.8


# --- the arithmetic of curves ---------------------------------------------------------------------------------------


def test_drops_add_up_and_centres_are_where_the_drops_are():
    curve = [1.0, 0.9, 0.9, 0.5, 0.6]
    assert drops(curve) == pytest.approx([0.0, 0.1, 0.0, 0.4, -0.1])
    assert centre_of_change(curve) == pytest.approx((1 * 0.1 + 3 * 0.4 - 4 * 0.1) / 0.4)
    assert top_share(curve) == pytest.approx(-0.1 / 0.4)  # blocks 4 of 4: it came back
    assert middle_similarity(curve) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("depth", "last_of_thirds"), [(12, (4, 8, 12)), (6, (2, 4, 6)), (24, (8, 16, 24)), (4, (1, 3, 4)), (3, (1, 2, 3))]
)
def test_thirds_divide_the_blocks(depth: int, last_of_thirds: tuple[int, ...]):
    assert tuple(third[-1] for third in thirds(depth)) == last_of_thirds
    assert [block for third in thirds(depth) for block in third] == list(range(1, depth + 1))


def test_models_too_shallow_for_thirds_have_no_middle():
    assert np.isnan(middle_similarity([1.0, 0.8, 0.5]))


@pytest.mark.parametrize("curve", [[], [1.0], [1.0, float("nan")], [[1.0, 0.9]]])
def test_invalid_curves_are_refused(curve: list[Any]):
    with pytest.raises(OptionError, match="A curve holds"):
        drops(curve)


def test_curves_without_values_by_block_are_refused(base: Path, changed, extracted):
    scores = rs.compare(extracted(base, "in"), extracted(changed(6), "in"), ["RSA"], progress=False)
    with pytest.raises(OptionError, match="interval=rs.Jackknife"):
        curve_statistics(scores)


# --- scores as the rows of a study ----------------------------------------------------------------------------------


def rows_of(scores: rs.Scores, task: str) -> list[dict[str, Any]]:
    return [
        {
            "experiment": "similarity",
            "variant": "tuned",
            "task": task,
            "seed": 0,
            "corpus": "text",
            "metric": score.measure,
            "layer": layer,
            "value": score.value,
            "low": score.interval[0],
            "high": score.interval[1],
        }
        for layer, score in enumerate(scores)
        if score.interval is not None
    ]


def domain_rows(of_models: dict[str, tuple[rs.Scores, ...]]) -> list[dict[str, Any]]:
    """Rows of C6 for MNLI, from the scores of each task's model on text out of domain and in domain."""
    pairs = {
        StudyModel("tuned", task, 0): (Replicates.of_scores(outside, "RSA"), Replicates.of_scores(inside, "RSA"))
        for task, (outside, inside) in of_models.items()
    }
    row = {"experiment": "domains", "kind": "difference", "variant": "tuned", "task": "mnli", "corpus": "other"}
    return [row | columns for columns in gap_rows("RSA", "mnli", pairs)]


def c6_of(rows: list[dict[str, Any]]) -> str:
    return next(claim["verdict"] for claim in judge(rows) if claim["claim"] == "C6")


def baseline_rows() -> list[dict[str, Any]]:
    row = {"experiment": "similarity", "variant": "random", "corpus": "text", "metric": "RSA()"}
    return [row | {"layer": layer, "value": 0.1, "low": 0.05, "high": 0.15} for layer in range(DEPTH + 1)]


def parsing_like(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parsing whose change is known without error, so that the interval of a difference is that of the other."""
    return [
        row | {"task": "dependency", "value": value, "low": value, "high": value}
        for row, value in zip(
            (row for row in rows if row["variant"] == "tuned"), np.linspace(1, 0.4, DEPTH + 1), strict=True
        )
    ]
