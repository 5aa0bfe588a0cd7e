"""A paragraph on what was done, and the papers behind it, from what the rows contain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .layered import WITHOUT
from .reading import Row
from .selecting import distinct, pick
from .words import in_prose, joined, measure

__all__ = ["Reference", "methods", "references"]


@dataclass(frozen=True)
class Reference:
    """A paper: how it is cited, what it is called, where it is."""

    cited: str
    said: str
    address: str


_PAPERS = {
    key: Reference(*told)
    for key, *told in (
        ("merchant", "Merchant et al. 2020", "What Happens To BERT Embeddings During Fine-tuning? BlackboxNLP.",
         "arxiv.org/abs/2004.14448"),
        ("RSA", "Kriegeskorte et al. 2008", "Representational similarity analysis. Frontiers in Systems Neuroscience.",
         "doi.org/10.3389/neuro.06.004.2008"),
        ("LinearCKA", "Kornblith et al. 2019", "Similarity of Neural Network Representations Revisited. ICML.",
         "arxiv.org/abs/1905.00414"),
        ("SVCCA", "Raghu et al. 2017", "SVCCA: Singular Vector Canonical Correlation Analysis. NeurIPS.",
         "arxiv.org/abs/1706.05806"),
        ("PWCCA", "Morcos et al. 2018", "Insights on representational similarity in neural networks. NeurIPS.",
         "arxiv.org/abs/1806.05759"),
        ("Procrustes", "Ding et al. 2021", "Grounding Representation Similarity with Statistical Testing. NeurIPS.",
         "arxiv.org/abs/2108.01661"),
        ("edge", "Tenney et al. 2019", "What do you learn from context? ICLR.", "arxiv.org/abs/1905.06316"),
        ("cumulative", "Tenney et al. 2019b", "BERT Rediscovers the Classical NLP Pipeline. ACL.",
         "arxiv.org/abs/1905.05950"),
        ("structural", "Hewitt & Manning 2019", "A Structural Probe for Finding Syntax in Word Representations. NAACL.",
         "aclanthology.org/N19-1419"),
        ("mnli", "Williams et al. 2018", "A Broad-Coverage Challenge Corpus for Sentence Understanding. NAACL.",
         "arxiv.org/abs/1704.05426"),
        ("squad", "Rajpurkar et al. 2016", "SQuAD: 100,000+ Questions for Machine Comprehension of Text. EMNLP.",
         "arxiv.org/abs/1606.05250"),
        ("dependency", "Dozat & Manning 2017", "Deep Biaffine Attention for Neural Dependency Parsing. ICLR.",
         "arxiv.org/abs/1611.01734"),
        ("exit", "Phang et al. 2021", "Fine-Tuned Transformers Show Clusters of Similar Representations Across Layers. "
         "BlackboxNLP.", "arxiv.org/abs/2109.08406"),
        ("anisotropy", "Ethayarajh 2019", "How Contextual are Contextualized Word Representations? EMNLP.",
         "arxiv.org/abs/1909.00512"),
        ("rogue", "Timkey & van Schijndel 2021", "All Bark and No Bite: Rogue Dimensions in Transformer Language "
         "Models Obscure Representational Quality. EMNLP.", "arxiv.org/abs/2109.04404"),
        ("effective_rank", "Roy & Vetterli 2007", "The effective rank: A measure of effective dimensionality. EUSIPCO.",
         "ieeexplore.ieee.org/document/7098875"),
        ("trajectories", "Hao et al. 2020", "Investigating Learning Dynamics of BERT Fine-Tuning. AACL.",
         "aclanthology.org/2020.aacl-main.11"),
    )
}  # fmt: skip


def methods(rows: Sequence[Row]) -> list[str]:
    """Return sentences, each true of these rows; citations stand in brackets."""
    said = [_tuning(rows), _similarity(rows), _domains(rows), *_ablations(rows), _edge(rows), _structural(rows)]
    said += [_model(rows), _bands(rows)]
    return [sentence for sentence in said if sentence]


def references(rows: Sequence[Row]) -> list[Reference]:
    """Return the papers that `methods` cites, by name."""
    text = " ".join(methods(rows))
    found = [paper for paper in _PAPERS.values() if f"{paper.cited};" in text or f"{paper.cited}]" in text]
    return sorted({_PAPERS["merchant"], *found}, key=lambda paper: paper.cited)


def _cite(*keys: str) -> str:
    known = [_PAPERS[key].cited for key in keys if key in _PAPERS]
    return f" [{'; '.join(known)}]" if known else ""


def _tuning(rows: Sequence[Row]) -> str:
    found = pick(rows, experiment="finetuning")
    tasks = [f"{in_prose(task)}{_cite(task)}" for task in distinct(found, "task")]
    seeds = len(distinct(found, "seed"))
    models = joined(distinct(found, "model"))
    if not tasks:
        return ""
    spread = f", with {seeds} seeds each" if seeds > 1 else ""
    return f"{models or 'The encoder'} was fine-tuned on {joined(tasks)}{spread}, and scored on each task's dev data."


def _similarity(rows: Sequence[Row]) -> str:
    found = [row for row in pick(rows, experiment="similarity") if row["layer"] is not None]
    names = list(dict.fromkeys(metric.removesuffix(WITHOUT) for metric in distinct(found, "metric")))
    if not names:
        return ""
    cited = [measure(name) + _cite(name.partition("(")[0]) for name in names]
    texts = joined(distinct(found, "corpus"))
    where = f" of {texts}" if texts else ""
    without = any(row["metric"].endswith(WITHOUT) for row in found)
    rogue = f" Once more they were taken without rogue dimensions{_cite('rogue')}." if without else ""
    kinds = {"random": "a model of random weights", "unrelated": "another encoder", "seeds": "another seed of the task"}
    others = [words for kind, words in kinds.items() if pick(found, variant=kind)]
    floors = f" Beside them stand {joined(others)}." if others else ""
    said = f"Each layer was compared with itself before fine-tuning, over the tokens{where}, by {joined(cited)}."
    return said + rogue + floors


def _domains(rows: Sequence[Row]) -> str:
    if not pick(rows, experiment="domains"):
        return ""
    return "The gap between domains is the similarity on other text less that on text of the task's own domain."


def _ablations(rows: Sequence[Row]) -> list[str]:
    said = {
        "freezing": "For partial freezing the lowest blocks kept their pre-trained weights while the rest was tuned.",
        "truncation": "For truncation the upper blocks were removed before fine-tuning.",
        "exit": f"For early exit the tuned head read a lower layer of its own model{_cite('exit')}.",
    }
    return [sentence for experiment, sentence in said.items() if pick(rows, experiment=experiment)]


def _edge(rows: Sequence[Row]) -> str:
    found = pick(rows, experiment="edge")
    if not found:
        return ""
    mixed = any((row["member"] or "").startswith("mix") for row in found)
    floor = ", beside a probe of the word pieces alone" if pick(found, member="lex") else ""
    return (
        f"Edge probes{_cite('edge', *(['cumulative'] if mixed else []))} were trained on the frozen encoder before and "
        f"after fine-tuning{floor}; they are scored by micro-averaged F1."
    )


def _structural(rows: Sequence[Row]) -> str:
    found = pick(rows, experiment="structural")
    if not found:
        return ""
    ranks = joined(f"{rank:g}" for rank in distinct(found, "rank"))
    return f"Structural probes{_cite('structural')}{f' of rank {ranks}' if ranks else ''} were trained on each layer."


def _model(rows: Sequence[Row]) -> str:
    profiles = distinct(pick(rows, experiment="profiles"), "metric")
    names = {"anisotropy": "anisotropy", "effective_rank": "effective rank", "rogue": "rogue dimensions"}
    there = {key: words for key, words in names.items() if any(metric.startswith(key) for metric in profiles)}
    numbers = [words + _cite(key) for key, words in there.items()]
    parts = [f"each layer's {joined(numbers)}"] if numbers else []
    parts += ["the distance of weights from the pre-trained ones"] if pick(rows, experiment="weights") else []
    parts += ["the divergence of attention"] if pick(rows, experiment="attention") else []
    parts += [f"checkpoints on the way{_cite('trajectories')}"] if pick(rows, experiment="trajectories") else []
    return f"Measured besides: {joined(parts)}." if parts else ""


def _bands(rows: Sequence[Row]) -> str:
    bands = distinct(rows, "band")
    levels = joined(f"{100 * level:g} %" for level in distinct(rows, "confidence"))
    tested = any(row["p_holm"] is not None for row in rows)
    holm = " p-values are two-sided, adjusted by Holm's method." if tested else ""
    return f"Intervals{f' ({levels})' if levels else ''}: {joined(bands)}.{holm}" if bands else ""
