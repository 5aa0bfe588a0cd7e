"""Times and errors of the CUDA backend on one GPU: sweeps over all pairs of rows, and moments from memory-mapped files.

    python -m benchmarks.bench_gpu --roofline roofline.json --out bench.json [case ...]

Times are medians of the host's clock; the device is idle before and after. Fractions divide the operations that the
result needs (2 d for each pair of rows and each layer) by the limits that gpu_roofline measured. Rivals run on the same
device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_moments import block_products, moments_of_layers
from benchmarks.harness import pair_of_layers
from pyrepsim.backends import get_backend

N, D = 100_000, 768
TRANSFORMS = {"cosine": "unit", "euclidean": "raw", "manhattan": "raw"}


def seconds_of(body: Callable[[], Any], repeats: int = 5) -> float:
    """Median seconds of ``body``, which must wait until the device is idle."""
    body()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        body()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def pearson(sums: dict[str, np.ndarray]) -> float:
    """Pearson correlation of the entries of two layers, from sums of their differences from the origins."""
    count = sums["entries"].sum()
    s1, s2 = sums["first"].sum(axis=(1, 2)), sums["second"].sum(axis=(1, 2))
    covariance = sums["cross"].sum() / count - s1[0] * s1[1] / count**2
    variances = s2 / count - (s1 / count) ** 2
    return float(covariance / np.sqrt(variances.prod()))


class Bench:
    """The cases: each is a method that returns a dictionary of measurements."""

    def __init__(self, ceilings: dict[str, float], n: int) -> None:
        self.gpu, self.ceilings, self.n = get_backend("cuda"), ceilings, n
        self.rows = pair_of_layers(n, D)

    def panels(self, metric: str, precision: str, n: int) -> list[Any]:
        made = []
        blocks = np.unique(np.linspace(0, n, 65).astype(np.int64) // 192 * 192)
        blocks = np.append(blocks[blocks < n], n)
        for rows in self.rows:
            view, kind = rows[:n], TRANSFORMS[metric]
            shift = self.gpu.mean_row(view, kind)
            made.append(self.gpu.Panels(view, transform=kind, shift=shift, precision=precision, blocks=blocks))
        return made

    def sums(self, panels: list[Any], metric: str, maps: Any = None, origins: Any = None, **options: Any) -> Any:
        sweep = self.gpu.SumSweep(
            panels, [(0, 1)], metric=metric, maps=maps or [None] * 2, origins=origins or self.origins(metric),
            row_sums=False, **options,
        )  # fmt: skip

        def run() -> None:
            sweep.run(0, sweep.n_tasks, 1)

        return sweep, run

    def origins(self, metric: str) -> list[float]:
        """Mean entry of each layer among a few of its rows."""
        means = []
        for rows in self.rows:
            few = rows[:: max(1, len(rows) // 256)].astype(np.float64)
            few = few / np.linalg.norm(few, axis=1, keepdims=True) if metric == "cosine" else few
            squares = ((few[:, None] - few[None]) ** 2).sum(axis=2)[np.triu_indices(len(few), 1)]
            means.append(float((squares / 2 if metric == "cosine" else np.sqrt(squares)).mean()))
        return means

    def useful_tflops(self, n: int, seconds: float, layers: int = 2) -> float:
        return layers * 2 * D * n * (n - 1) / 2 / seconds / 1e12

    def fraction(self, tflops: float) -> float:
        return tflops / self.ceilings.get("bf16_tflops", float("nan"))

    # Cases

    def rsa_shapes(self) -> dict[str, Any]:
        """Cosine-Pearson in "fast" for several tile sizes and numbers of lanes, to choose the defaults."""
        facts: dict[str, Any] = {}
        panels = self.panels("cosine", "fast", self.n)
        for side in (1024, 1536, 2048, 3072, 4096):
            for lanes in (1, 2):
                _, run = self.sums(panels, "cosine", tile=(side, side), lanes=lanes)
                seconds = seconds_of(run, 3)
                facts[f"tile {side} lanes {lanes} seconds"] = seconds
                facts[f"tile {side} lanes {lanes} of bf16 roof"] = self.fraction(self.useful_tflops(self.n, seconds))
        return facts

    def rsa_fused(self) -> dict[str, Any]:
        """The fused kernel compared with separate tiles: time, and difference of r."""
        facts: dict[str, Any] = {}
        for n in (5000, self.n):
            for metric in ("cosine", "euclidean"):
                for precision in ("fast", "fp32"):
                    panels, results = self.panels(metric, precision, n), []
                    for fused in (False, True):
                        sweep, run = self.sums(panels, metric, fused=fused)
                        seconds = seconds_of(run, 3)
                        sweep, run = self.sums(panels, metric, fused=fused)
                        run()
                        results.append(pearson(sweep.result()))
                        name = f"n={n} {metric} {precision} {'fused' if sweep.fused else 'tiles'}"
                        facts[f"{name} seconds"] = seconds
                        facts[f"{name} of bf16 roof"] = self.fraction(self.useful_tflops(n, seconds))
                    facts[f"n={n} {metric} {precision} difference of r"] = abs(results[0] - results[1])
        return facts

    def fused_once(self) -> dict[str, Any]:
        """One sweep of the fused kernel, for a profiler."""
        _, run = self.sums(self.panels("cosine", "fast", self.n), "cosine", fused=True)
        start = time.perf_counter()
        run()
        return {"seconds": time.perf_counter() - start}

    def rsa_pearson(self) -> dict[str, Any]:
        """Time at n rows; error of r against float64 at n / 4."""
        facts: dict[str, Any] = {}
        for metric in ("cosine", "euclidean"):
            few = self.n // 4
            sweep, run = self.sums(self.panels(metric, "fp64", few), metric)
            seconds = seconds_of(run, 1)
            facts[f"{metric} fp64 n={few} of fp64 roof"] = self.useful_tflops(few, seconds) / self.ceilings.get(
                "fp64_tflops", float("nan")
            )
            sweep, run = self.sums(self.panels(metric, "fp64", few), metric)
            run()
            exact = pearson(sweep.result())
            for precision in ("fast", "fp32"):
                sweep, run = self.sums(self.panels(metric, precision, few), metric)
                run()
                facts[f"{metric} {precision} error of r"] = abs(pearson(sweep.result()) - exact)
                start = time.perf_counter()
                panels = self.panels(metric, precision, self.n)
                facts[f"{metric} {precision} packing seconds"] = time.perf_counter() - start
                _, run = self.sums(panels, metric)
                seconds = seconds_of(run)
                facts[f"{metric} {precision} seconds"] = seconds
                facts[f"{metric} {precision} useful tflops"] = self.useful_tflops(self.n, seconds)
                facts[f"{metric} {precision} of bf16 roof"] = self.fraction(self.useful_tflops(self.n, seconds))
        return facts

    def rsa_spearman(self) -> dict[str, Any]:
        """Euclidean-Spearman: one sweep for counts, then tables of mid-ranks, then one sweep for sums."""
        facts: dict[str, Any] = {}
        bins = 1 << 16
        for precision in ("fast", "fp32"):
            panels = self.panels("euclidean", precision, self.n)
            high = [4 * origin for origin in self.origins("euclidean")]
            counts = self.gpu.HistogramSweep(panels, metric="euclidean", low=0.0, high=high, bins=bins)
            start = time.perf_counter()
            counts.run(0, counts.n_tasks, 1)
            facts[f"{precision} counts seconds"] = time.perf_counter() - start
            tables = []
            for row in counts.result().astype(np.float64):
                last = np.cumsum(row)
                tables.append(((last - row / 2) / last[-1] - 0.5).astype(np.float32))
            maps = [("table", 0.0, top, table) for top, table in zip(high, tables, strict=True)]
            _, run = self.sums(panels, "euclidean", maps, [0.0, 0.0])
            facts[f"{precision} sums seconds"] = seconds_of(run, 3)
            sweep, run = self.sums(panels, "euclidean", maps, [0.0, 0.0])
            run()
            facts[f"{precision} rho"] = pearson(sweep.result())
        return facts

    def neighbours(self) -> dict[str, Any]:
        """The 10 nearest of n rows, compared with torch on blocks of rows, in float32 and TF32."""
        import torch

        facts: dict[str, Any] = {}
        results = {}
        for precision in ("fast", "fp32"):
            (panels, _) = self.panels("euclidean", precision, self.n)
            sweep = self.gpu.NeighbourSweep(panels, None, metric="euclidean", k=10)
            start = time.perf_counter()
            sweep.run(0, sweep.n_tasks, 1)
            facts[f"{precision} seconds"] = time.perf_counter() - start
            results[precision] = sweep.result()[0]
        x = torch.from_numpy(self.rows[0]).cuda()
        x -= x.mean(dim=0)
        norms = (x * x).sum(dim=1)

        def by_torch() -> Any:
            lists = []
            for start in range(0, self.n, 4096):
                part = norms[start : start + 4096, None] + norms - 2 * x[start : start + 4096] @ x.T
                lists.append(torch.topk(part, 11, largest=False).indices[:, 1:])
            torch.cuda.synchronize()
            return torch.cat(lists).cpu().numpy()

        for name, tf32 in (("fp32", False), ("tf32", True)):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            facts[f"torch {name} seconds"] = seconds_of(by_torch, 1)
            theirs = by_torch()
            facts[f"torch {name} lists equal to ours"] = float((theirs == results["fp32"]).all(axis=1).mean())
        facts["fast lists equal to fp32"] = float((results["fast"] == results["fp32"]).all(axis=1).mean())
        return facts

    def manhattan(self, n: int = 20_000) -> dict[str, Any]:
        import torch

        panels = self.panels("manhattan", "fp32", n)
        _, run = self.sums(panels, "manhattan", origins=[0.0, 0.0])
        facts = {f"n={n} two layers seconds": seconds_of(run, 3)}
        x = torch.from_numpy(self.rows[0][:n]).cuda()

        def by_torch() -> None:
            torch.cdist(x, x, p=1)
            torch.cuda.synchronize()

        facts["torch.cdist one layer seconds"] = seconds_of(by_torch, 1)
        return facts

    def whole_matrices(self, n: int = 20_000) -> dict[str, Any]:
        """RSA of n rows compared with both n x n matrices in torch and CuPy, in float32 and bf16."""
        import cupy
        import torch

        facts: dict[str, Any] = {}
        sweep, run = self.sums(self.panels("cosine", "fp64", n), "cosine")
        run()
        exact = pearson(sweep.result())
        for precision in ("fast", "fp32"):
            panels = self.panels("cosine", precision, n)
            _, run = self.sums(panels, "cosine")
            facts[f"ours {precision} seconds"] = seconds_of(run)
            sweep, run = self.sums(panels, "cosine")
            run()
            facts[f"ours {precision} error"] = abs(pearson(sweep.result()) - exact)
        torch.backends.cuda.matmul.allow_tf32 = False
        device_rows = [torch.from_numpy(rows[:n]).cuda() for rows in self.rows]
        upper: Any = torch.triu(torch.ones(n, n, dtype=torch.bool, device="cuda"), 1)
        r = 0.0

        def by_torch(dtype: Any) -> None:
            nonlocal r
            entries = []
            for rows in device_rows:
                unit = (rows / rows.norm(dim=1, keepdim=True)).to(dtype)
                entries.append((1 - unit @ unit.T)[upper].float())
            r = float(torch.corrcoef(torch.stack(entries))[0, 1])

        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            facts[f"torch {name} seconds"] = seconds_of(lambda: by_torch(dtype), 2)  # noqa: B023
            facts[f"torch {name} error"] = abs(r - exact)
        upper = None
        torch.cuda.empty_cache()
        cupy_rows = [cupy.asarray(rows[:n]) for rows in self.rows]

        def by_cupy() -> None:
            nonlocal r
            mask = cupy.triu(cupy.ones((n, n), dtype=bool), 1)
            entries = []
            for rows in cupy_rows:
                unit = rows / cupy.linalg.norm(rows, axis=1, keepdims=True)
                entries.append((1 - unit @ unit.T)[mask])
            r = float(cupy.corrcoef(cupy.stack(entries))[0, 1])

        facts["cupy fp32 seconds"] = seconds_of(by_cupy, 2)
        facts["cupy fp32 error"] = abs(r - exact)
        return facts

    def block_products(self) -> dict[str, Any]:
        return block_products(self.ceilings.get("fp64_tflops", float("nan")))

    def covariance_from_files(self) -> dict[str, Any]:
        return moments_of_layers()


CASES = [
    "rsa_shapes",
    "rsa_pearson",
    "rsa_spearman",
    "whole_matrices",
    "neighbours",
    "manhattan",
    "block_products",
    "covariance_from_files",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--rows", type=int, default=N)
    parser.add_argument("--roofline", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    known = options.roofline is not None and options.roofline.exists()
    ceilings = json.loads(options.roofline.read_text()) if known else {}
    bench = Bench(ceilings, options.rows)
    results: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "ceilings": ceilings, "rows": options.rows}
    for case in options.cases:
        try:
            results[case] = getattr(bench, case)()
        except Exception as error:  # continue with the other cases
            results[case] = {"failed": repr(error)}
        for name, value in results[case].items():
            print(f"{case:22} {name:44} {value:.5g}" if isinstance(value, float) else f"{case:22} {name:44} {value}")
        if options.out:
            options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
