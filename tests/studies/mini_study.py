"""The study in miniature: a random BERT of two layers, forty sentences a split, a few updates each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pyrepsim.studies.merchant2020 import Scale, merchant2020
from pyrepsim.studies.merchant2020.scales import build_scale
from pyrepsim.studies.runner import Study, run_study

_RECIPE = {"epochs": 1, "learning_rate": 1e-3, "max_length": 96, "batch_size": 16}
_PROBE = {
    "task": "dependencies",
    "recipe": {"validate_every": 5, "max_validations": 1, "projection": 8, "hidden": 8},
    **{part: f"village/edge/dependencies/{part}.jsonl" for part in ("train", "dev", "test")},
}


def mini_scale(**changes: Any) -> Scale:
    tasks = {
        "mnli": {"task": "mnli", "train": "village/mnli/train.jsonl", "dev": "village/mnli/dev.jsonl"},
        "dependency": {
            "task": "dependency",
            "train": "village/dependency/train.conllu",
            "dev": "village/dependency/dev.conllu",
        },
    }
    content = {
        "name": "mini",
        "synthetic": {"train": 40, "dev": 24, "test": 16},
        "seeds": [0, 1],
        "equal_updates": 4,
        "tasks": {name: {**task, "recipe": _RECIPE} for name, task in tasks.items()},
        "corpora": {
            "laboratory": {
                "source": "laboratory/text/dev.txt",
                "words": 150,
                "domain": {"mnli": "out", "dependency": "out"},
            },
            "mnli-dev": {
                "source": "village/mnli/dev.jsonl",
                "task": "mnli",
                "form": "training",
                "words": 200,
                "domain": {"mnli": "in"},
            },
            "mnli-sentences": {
                "source": "village/mnli/dev.jsonl",
                "task": "mnli",
                "like": "laboratory",
                "domain": {"mnli": "in", "dependency": None},
            },
        },
        "similarity": {
            "measures": ["DocumentRSA", "RSA", "LinearCKA(debiased=True)", "Procrustes"],
            "values_only": ["Procrustes"],
            "blocks": 6,
            "rogue": ["laboratory"],
        },
        "profiles": ["laboratory"],
        "attention": ["laboratory"],
        "freezing": {"values": [0, 1, 2], "seeds": [0, 1], "tasks": ["mnli"]},
        "longer": {"values": [0, 1], "seeds": [0], "tasks": ["mnli"], "recipe": {"mnli": {"epochs": 2}}},
        "truncation": {"values": [0.5, 1.0], "seeds": [0], "tasks": ["mnli"]},
        "exit": {"seeds": [0], "tasks": ["mnli"]},
        "edge": {"seeds": [0], "probes": {"dependencies": _PROBE}},
        "structural": {
            "seeds": [0],
            "files": {part: f"village/dependency/{part}.conllu" for part in ("train", "dev", "test")},
            "options": {"ranks": [4], "epochs": 1},
        },
    }
    return build_scale({**content, **changes}, "mini")


def mini_study(model: Path, **changes: Any) -> Study:
    return merchant2020(model, mini_scale(**changes), device="cpu")


if __name__ == "__main__":  # one worker: MODEL OUT [i/n]
    result = run_study(mini_study(Path(sys.argv[1])), out=sys.argv[2], worker=sys.argv[3] if sys.argv[3:] else "0/1")
    sys.exit(0 if result.complete else 1)
