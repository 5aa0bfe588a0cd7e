"""Time and memory against rows, features, layers and threads, drawn from the results of bench_scaling.py.

python -m benchmarks.scaling_figure scaling.svg
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import SHOWN, read_results

__all__ = ["draw", "series_of", "slope_mb_per_million_rows"]

_LINES = {
    "": ("pyrepsim, both", "C0"),
    "numpy linear_cka ": ("NumPy, CKA", "C1"),
    "numpy rsa_cosine ": ("NumPy, RSA", "C3"),
}

Point = Mapping[str, Any]


def series_of(results: Mapping[str, Any]) -> dict[str, list[Point]]:
    """The points of each series, in order of the quantity that varies."""
    series: dict[str, list[Point]] = {}
    for facts in results.values():
        if "series" in facts:
            series.setdefault(facts["series"], []).append(facts)
    return {name: sorted(points, key=lambda one: one["at"]) for name, points in series.items()}


def slope_mb_per_million_rows(points: list[Point]) -> float:
    """Growth of peak memory with the number of rows; near 0 if the comparison streams.

    The first point is left out, because the first chunks fill buffers of a fixed size.
    """
    at, peak = (np.array([one[key] for one in points[1:]], dtype=float) for key in ("at", "peak_mb"))
    return float(np.polyfit(at / 1e6, peak, 1)[0])


def draw(series: Mapping[str, list[Point]], out: Path) -> None:
    """Draw one column per series: seconds above, memory below, on logarithmic axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(series), figsize=(3 * len(series), 5.4), squeeze=False, layout="constrained")
    for column, (name, points) in enumerate(series.items()):
        for row, (key, ylabel) in enumerate((("seconds", "seconds"), ("peak_mb", "peak memory, MB"))):
            axis = axes[row][column]
            for prefix, (label, colour) in _LINES.items():
                shown = [(one["at"], one[prefix + key]) for one in points if prefix + key in one]
                if shown:
                    axis.plot(*zip(*shown, strict=True), "o-", color=colour, label=label)
            axis.set(xscale="log", yscale="log", xlabel=name, ylabel=ylabel if column == 0 else "")
            low, high = axis.get_ylim()
            axis.set_ylim(low / 2, high * 2)
            axis.set_xticks([one["at"] for one in points], [f"{one['at']:,}" for one in points], rotation=30)
            axis.set_xticks([], minor=True)
            axis.grid(True, which="major", alpha=0.3)
    axes[0][0].legend(frameon=False)
    figure.savefig(out)


def main() -> None:
    series = series_of(read_results(SHOWN))
    if "rows" in series:
        print(f"peak memory: {slope_mb_per_million_rows(series['rows']):+.1f} MB per million rows")
    draw(series, Path(sys.argv[1] if len(sys.argv) > 1 else "scaling.svg"))


if __name__ == "__main__":
    main()
