"""How often the rules of the claims err, and how often they decide: made-up studies whose truth is known.

    python -m benchmarks.planted_studies                    # all designs of benchmarks/planted: half an hour
    python -m benchmarks.planted_studies C7 --draws 200

A cell is a design with a true effect: 2,000 studies at the threshold of the rule, a quarter of them elsewhere. Each is
one file in benchmarks/results/planted-studies, and one line of planted-studies.md; a cell that was finished with as
many draws is not run again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import pkgutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYREPSIM_NUM_THREADS", "1")

from benchmarks import planted
from benchmarks.planted.design import VERDICTS, Planted, false_rate, verdicts
from benchmarks.table import RESULTS, replace_table

FOLDER = RESULTS / "planted-studies"
PAGE = Path(__file__).parent / "planted-studies.md"
MOST_FALSE = 0.05


@cache
def designs() -> list[Planted]:
    """The designs of all modules of benchmarks/planted, by claim."""
    modules = [
        importlib.import_module(f"benchmarks.planted.{one.name}") for one in pkgutil.iter_modules(planted.__path__)
    ]
    found = [design for module in modules for design in getattr(module, "DESIGNS", ())]
    return sorted(found, key=lambda design: design.claim)


def bar(draws: int) -> float:
    """The largest fraction of false verdicts that a rate of 5 % explains: two standard errors above."""
    return MOST_FALSE + 2 * math.sqrt(MOST_FALSE * (1 - MOST_FALSE) / draws)


def run(place: int, effect: float, draws: int, workers: int) -> dict[str, Any]:
    """Run one cell, or read it if it has as many draws; return its summary."""
    design = designs()[place]
    path = _path(design, effect)
    if path.exists() and (saved := json.loads(path.read_text(encoding="utf-8")))["draws"] >= draws:
        return saved
    size = max(1, draws // (10 * workers))
    parts = [range(begin, min(begin + size, draws)) for begin in range(0, draws, size)]
    with ProcessPoolExecutor(workers) as pool:
        counts = sum(pool.map(_part, [place] * len(parts), [effect] * len(parts), parts), Counter())
    summary = {"claim": design.claim, "design": design.name, "effect": effect, "truth": design.truth(effect)}
    summary |= {"draws": draws, "verdicts": {name: counts[name] for name in VERDICTS}}
    summary["false"] = false_rate(design, effect, counts)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _path(design: Planted, effect: float) -> Path:
    return FOLDER / f"{design.claim}-{design.name}-{effect:g}.json".replace(" ", "-").replace(",", "")


def read_summaries() -> list[dict[str, Any]]:
    """The cells that were run, in the order of the designs and their effects."""
    paths = [_path(design, effect) for design in designs() for effect in design.effects]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def _part(place: int, effect: float, draws: range) -> Counter[str]:
    return verdicts(designs()[place], effect, draws)


def page(summaries: list[dict[str, Any]]) -> str:
    """The table of all cells, as Markdown."""
    return "\n".join(["", *_lines(summaries), ""])


def _lines(summaries: list[dict[str, Any]]) -> Iterator[str]:
    yield "| claim | design | true effect | unit | truth | holds | does not hold | undecided | false |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    units = {(one.claim, one.name): one.unit for one in designs()}
    for one in summaries:
        truth = "at the threshold" if one["truth"] == "undecided" else one["truth"]
        rates = [f"{one['verdicts'][name] / one['draws']:.1%}" for name in VERDICTS[:3]]
        cells = [one["claim"], one["design"], f"{one['effect']:g}", units[one["claim"], one["design"]], truth, *rates]
        yield f"| {' | '.join(cells)} | {one['false']:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_studies", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    for place, design in enumerate(designs()):
        if chosen.claims and design.claim not in chosen.claims:
            continue
        for effect in design.effects:
            draws = chosen.draws if effect == design.threshold else chosen.draws // 4
            print(json.dumps(run(place, effect, draws, chosen.workers)), flush=True)
    PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), page(read_summaries())), encoding="utf-8")


if __name__ == "__main__":
    main()
