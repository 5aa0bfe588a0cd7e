"""Text of the report: what was run on what, the methods with citations, and which results are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.memory import format_bytes
from ..runner import select
from .representation_figures import WITHOUT_ROGUE
from .rows import Row, StudyFiles, distinct, tasks_of
from .sections import SECTIONS
from .task_figures import LEXICAL
from .text import CONTROLLED, count, in_prose, joined, measure_name, task_name

__all__ = [
    "ExperimentSummary", "Reference", "cells_without_result", "default_title", "experiment_summaries", "facts",
    "facts_of_trainings", "methods", "references", "sections_without_rows", "summary", "unknown_experiments",
]  # fmt: skip

_KNOWN = {"finetuning", "equal_updates", "similarity", "domains", "edge", "structural", "freezing", "longer",
          "truncation", "exit", "weights", "profiles", "attention", "trajectories"}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A paper: its citation, its title and venue, and its address without https."""

    cited: str
    title: str
    address: str


_PAPERS = {
    key: Reference(*paper)
    for key, *paper in (
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
    """Return sentences that describe the methods behind these rows, with citations in brackets."""
    sentences = [_tuning(rows), _similarity(rows), _domains(rows), *_ablations(rows), _edge(rows), _structural(rows)]
    sentences += [_model(rows), _intervals(rows)]
    return [sentence for sentence in sentences if sentence]


def references(rows: Sequence[Row]) -> list[Reference]:
    """Return the papers that `methods` cites, sorted by name."""
    text = " ".join(methods(rows))
    cited = [paper for paper in _PAPERS.values() if f"{paper.cited};" in text or f"{paper.cited}]" in text]
    return sorted({_PAPERS["merchant"], *cited}, key=lambda paper: paper.cited)


def _cite(*keys: str) -> str:
    known = [_PAPERS[key].cited for key in keys if key in _PAPERS]
    return f" [{'; '.join(known)}]" if known else ""


def _tuning(rows: Sequence[Row]) -> str:
    own = select(rows, experiment="finetuning")
    tasks = [f"{in_prose(task)}{_cite(task)}" for task in distinct(own, "task")]
    seeds = sorted({len(distinct(select(own, task=task), "seed")) for task in distinct(own, "task")})
    models = joined(distinct(own, "model"))
    if not tasks:
        return ""
    each = f", with {' to '.join(f'{n:g}' for n in seeds[:: len(seeds) - 1 or 1])} seeds each" if seeds[-1] > 1 else ""
    return f"{models or 'The encoder'} was fine-tuned on {joined(tasks)}{each}, and scored on each task's dev data."


def _similarity(rows: Sequence[Row]) -> str:
    layered = [row for row in select(rows, experiment="similarity") if row["layer"] is not None]
    names = list(dict.fromkeys(metric.removesuffix(WITHOUT_ROGUE) for metric in distinct(layered, "metric")))
    if not names:
        return ""
    papers = [name.partition("(")[0].removeprefix("Document") for name in names]
    cited = [measure_name(name) + _cite(paper) for name, paper in zip(names, papers, strict=True)]
    texts = joined(distinct(layered, "corpus"))
    where = f" of {texts}" if texts else ""
    text = (
        f"Each layer was compared with the same layer before fine-tuning, over the tokens{where}, by {joined(cited)}."
    )
    if any(row["metric"].endswith(WITHOUT_ROGUE) for row in layered):
        text += f" The measures were also computed without rogue dimensions{_cite('rogue')}."
    kinds = {
        "random": "a model with random weights",
        "unrelated": "another encoder",
        "seeds": "another seed of the task",
    }
    baselines = [description for kind, description in kinds.items() if select(layered, variant=kind)]
    return text + (f" Baselines are {joined(baselines)}." if baselines else "")


def _domains(rows: Sequence[Row]) -> str:
    if not select(rows, experiment="domains"):
        return ""
    control = any(row["metric"].endswith(CONTROLLED) for row in select(rows, experiment="domains"))
    minus = ", minus the same difference of the models of other tasks on the same texts" if control else ""
    gap = "the similarity on other text minus that on text of the task's domain"
    return f"The difference between domains is {gap}{minus}."


def _ablations(rows: Sequence[Row]) -> list[str]:
    sentences = {
        "freezing": "For partial freezing, the lowest blocks kept their pre-trained weights; the rest was fine-tuned.",
        "longer": "Frozen and unfrozen models were also trained with more updates.",
        "truncation": "For truncation, the upper blocks were removed before fine-tuning.",
        "exit": f"For early exit, the fine-tuned head read a lower layer of its own model{_cite('exit')}.",
    }
    return [sentence for experiment, sentence in sentences.items() if select(rows, experiment=experiment)]


def _edge(rows: Sequence[Row]) -> str:
    own = select(rows, experiment="edge")
    if not own:
        return ""
    mixed = any((row["member"] or "").startswith("mix") for row in own)
    lexical = "; the lexical baseline reads word pieces without context" if select(own, member=LEXICAL) else ""
    return (
        f"Edge probes{_cite('edge', *(['cumulative'] if mixed else []))} were trained on the frozen encoder before and "
        f"after fine-tuning{lexical}. They are scored by micro-averaged F1."
    )


def _structural(rows: Sequence[Row]) -> str:
    own = select(rows, experiment="structural")
    if not own:
        return ""
    ranks = joined(f"{rank:g}" for rank in distinct(own, "rank"))
    return f"Structural probes{_cite('structural')}{f' of rank {ranks}' if ranks else ''} were trained on each layer."


def _model(rows: Sequence[Row]) -> str:
    profiles = distinct(select(rows, experiment="profiles"), "metric")
    names = {"anisotropy": "anisotropy", "effective_rank": "effective rank", "rogue": "rogue dimensions"}
    measured = {key: name for key, name in names.items() if any(metric.startswith(key) for metric in profiles)}
    quantities = [name + _cite(key) for key, name in measured.items()]
    parts = [f"each layer's {joined(quantities)}"] if quantities else []
    parts += ["the distance of the weights from the pre-trained weights"] if select(rows, experiment="weights") else []
    parts += ["the divergence of attention"] if select(rows, experiment="attention") else []
    if select(rows, experiment="trajectories"):
        parts.append(f"checkpoints during fine-tuning{_cite('trajectories')}")
    return f"Also measured: {joined(parts)}." if parts else ""


def _intervals(rows: Sequence[Row]) -> str:
    bands = distinct(rows, "band")
    levels = joined(f"{100 * confidence:g} %" for confidence in distinct(rows, "confidence"))
    tested = any(row["p_holm"] is not None for row in rows)
    holm = " p-values are two-sided, adjusted by Holm's method." if tested else ""
    return f"Intervals{f' ({levels})' if levels else ''}: {joined(bands)}.{holm}" if bands else ""


@dataclass(frozen=True)
class ExperimentSummary:
    """The cells of one experiment in words: number of cells by state, time and size of the finished cells."""

    experiment: str
    states: str
    time: str
    size: str


def default_title(files: StudyFiles) -> str:
    """Return the title of a page, with the names of the models if they are known."""
    models = _models(files)
    return f"What fine-tuning does to {joined(models)}" if models else str(files.study.get("study", "A study"))


def summary(files: StudyFiles) -> str:
    """Return a paragraph on models, tasks, seeds, texts and experiments."""
    rows = files.rows
    tasks = joined(in_prose(task) for task in tasks_of(rows))
    seeds = len(distinct(select(rows, experiment="finetuning"), "seed"))
    layers = distinct(rows, "layer")
    shape = f", an encoder of {count(int(max(layers)), 'block')}," if layers else ""
    models = joined(_models(files)) or "An encoder"
    each = f" ({count(seeds, 'seed')} each)" if seeds else ""
    text = f"{models}{shape} was fine-tuned on {tasks}{each}." if tasks else f"{models}{shape} without fine-tuning."
    texts = distinct(select(rows, experiment=("similarity", "domains", "profiles")), "corpus")
    if texts:
        text += f" Its layers were compared on {joined(texts)}."
    if probes := distinct(select(rows, experiment="edge"), "probe_task"):
        text += f" Edge probes predicted {count(len(probes), 'kind')} of annotation from them."
    name, scale = files.study.get("study"), files.study.get("scale")
    if name:
        text += f" This is the study {name}{f' at the scale {scale}' if scale else ''}."
    return text


def facts(files: StudyFiles) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return arguments, versions and digests, each as a name with a list of keys and values."""
    study = files.study
    groups = []
    for name, key in (("Arguments", "arguments"), ("Versions", "versions"), ("Digests", "digests")):
        items = list(_flat(study.get(key)))
        if name == "Digests":
            items.append(("rows.jsonl (SHA-256)", files.digest))
        if items:
            groups.append((name, items))
    return groups


def experiment_summaries(files: StudyFiles) -> list[ExperimentSummary]:
    """Return one summary per experiment, in the order of the cells."""
    by_experiment: dict[str, list[Mapping[str, Any]]] = {}
    for cell in _cells(files):
        by_experiment.setdefault(str(cell.get("experiment", "")), []).append(cell)
    summaries = []
    for experiment, cells in by_experiment.items():
        states = [str(cell.get("state", "unknown")) for cell in cells]
        by_state = ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))
        seconds = [cell["seconds"] for cell in cells if _is_number(cell.get("seconds"))]
        sizes = [cell["bytes"] for cell in cells if _is_number(cell.get("bytes"))]
        size = format_bytes(int(sum(sizes))) if sizes else ""
        summaries.append(ExperimentSummary(experiment, by_state, _duration(sum(seconds)) if seconds else "", size))
    return summaries


def cells_without_result(files: StudyFiles) -> list[tuple[str, str, str]]:
    """Return name, state and error of each cell that failed, or that needs a cell that failed."""
    return [
        (f"{cell.get('experiment', '')}/{cell.get('name', '')}", str(cell["state"]), _short(cell.get("error")))
        for cell in _cells(files)
        if cell.get("state") in ("failed", "blocked")
    ]


def facts_of_trainings(files: StudyFiles) -> list[tuple[str, str]]:
    """Return the trainings with which something is wrong, each with a sentence."""
    found = []
    for row in select(files.rows, kind="fact"):
        seed, k = (f", {name} {row[name]:g}" if row[name] is not None else "" for name in ("seed", "k"))
        found.append((f"{row['experiment']}, {task_name(row['task'])}{seed}{k}", str(row["member"])))
    return found


def unknown_experiments(files: StudyFiles) -> list[tuple[str, int]]:
    """Return the experiments without a figure, with their number of rows."""
    names = [row["experiment"] for row in files.rows if row["experiment"] not in _KNOWN]
    return [(name, names.count(name)) for name in dict.fromkeys(names)]


def sections_without_rows(shown: set[str]) -> list[str]:
    """Return the titles of the sections without a figure or a table."""
    return [section.title for section in SECTIONS if not shown & {*section.figures, *section.folded, *section.tables}]


def _models(files: StudyFiles) -> list[str]:
    model = files.study.get("model")
    return distinct(files.rows, "model") or ([str(model)] if model else [])


def _cells(files: StudyFiles) -> list[Mapping[str, Any]]:
    cells = files.study.get("cells")
    return [cell for cell in cells if isinstance(cell, Mapping)] if isinstance(cells, list) else []


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return the values of nested mappings as text, with keys joined by dots."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(item, f"{prefix}{key}.")]
    if value is None or not prefix:
        return []
    return [(prefix.rstrip("."), ", ".join(map(str, value)) if isinstance(value, list) else str(value))]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(error: Any, limit: int = 400) -> str:
    text = "" if error is None else str(error)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, whole_seconds = divmod(rest, 60)
    return (
        f"{hours} h {minutes:02d} min"
        if hours
        else f"{minutes} min {whole_seconds:02d} s"
        if minutes
        else f"{seconds:.1f} s"
    )
