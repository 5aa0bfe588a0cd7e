"""A study of toy cells that count their calls; as a program it runs as one worker: FOLDER [i/n]."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyrepsim.studies.runner import Cell, Study, read_rows, run_study

STEPS = 5


def toy_study(*, factor: int = 2, seconds: float = 0.0, broken: tuple[str, ...] = (), n: int = 4, **more: Any) -> Study:
    """A source, n cells that use it step by step, and a sum over all; `broken` names cells that fail."""

    def source(folder: Path, _needed: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
        called(folder)
        (folder / "numbers.txt").write_text(str(factor))
        yield {"metric": "factor", "value": factor}

    def step(number: int) -> Any:
        def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
            called(folder)
            if f"step-{number}" in broken:
                raise RuntimeError("broken on purpose")
            given = int((needed["source/numbers"] / "numbers.txt").read_text())
            done = [int(path.stem) for path in folder.glob("*.step")]
            for k in range(len(done), STEPS):  # goes on after a kill
                time.sleep(seconds)
                (folder / f"{k}.step").touch()
            return [{"metric": "product", "layer": k, "value": given * number + 0.1 * k} for k in range(STEPS)]

        return run

    def total(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        called(folder)
        rows = [row for path in needed.values() for row in read_rows(path)]
        return [{"metric": "sum", "value": sum(row["value"] for row in rows), "n": len(rows), "kind": "aggregate"}]

    request = {"factor": factor}
    cells = [Cell(experiment="source", name="numbers", request=request, run=source, **more)]
    for k in range(n):
        cells.append(
            Cell(experiment="steps", name=f"step-{k}", request={"k": k}, run=step(k), needs=("source/numbers",))
        )
    names = tuple(cell.id for cell in cells[1:])
    cells.append(Cell(experiment="total", name="sum", request={}, run=total, needs=names))
    return Study(name="toy", cells=cells, settings=request)


def called(folder: Path) -> None:
    with (folder / "calls.txt").open("a") as file:
        file.write("called\n")


def calls(out: Path) -> dict[str, int]:
    """How often each cell's folder was called."""
    return {path.parent.name: len(path.read_text().splitlines()) for path in out.rglob("calls.txt")}


if __name__ == "__main__":
    result = run_study(toy_study(seconds=0.02), out=sys.argv[1], worker=sys.argv[2] if sys.argv[2:] else "0/1")
    sys.exit(0 if result.complete else 1)
