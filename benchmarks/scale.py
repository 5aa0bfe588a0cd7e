"""Compare two large stores by all closed-form measures: time, memory, and resuming after a kill.

    python -m benchmarks.scale --rows 1000000 --layers 13 --width 384 --folder /some/disk

Generates the two stores if they do not exist (20 GB at the default size) and compares layers of equal names in a
separate process. Then compares them again in a process that is killed with SIGKILL half way, resumes, and checks that
the bits are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import pyrepsim as rs
from benchmarks.memory import peak_mb
from benchmarks.roofline import roofline

MEASURES = [
    "LinearCKA", "LinearCKA(debiased=True)", "RV2", "CCA", "SVCCA", "PWCCA", "PWCCA(weights='mean')", "Procrustes",
    "ShapeMetric(alpha=0.5)", "LinearPredictivity", "GULP", "MaxCorrelation",
    "RSA", "RSA(metric='correlation')", "RSA(metric='sqeuclidean')", "RSA(metric='dot')", "RSA(compare='cosine_cov')",
]  # fmt: skip
SHARD = 65_536


def generate(path: Path, rows: int, layers: int, width: int, seed: int) -> None:
    """Write a store of related layers: shared latent rows, rotated, with more noise in each next layer."""
    names = [f"layer.{i}" for i in range(layers)]
    shards = [min(SHARD, rows - start) for start in range(0, rows, SHARD)]
    writer = rs.StoreWriter.create(path, {"generated": seed}, layers=dict.fromkeys(names, width), shard_rows=shards)
    turns = np.random.default_rng(seed).standard_normal((layers, width, width), dtype=np.float32) / np.sqrt(width)
    with writer:
        for k in writer.missing():
            shared = np.random.default_rng([0, k]).standard_normal((shards[k], width), dtype=np.float32)
            noise = np.random.default_rng([seed, k]).standard_normal((shards[k], width), dtype=np.float32)
            first = k * SHARD
            at = np.arange(first, first + shards[k])
            columns = {"doc_id": at // 128, "position": at % 128, "token_id": at % 1000}
            made = {name: (shared + 0.05 * i * noise) @ turns[i] + 3.0 * turns[i][0] for i, name in enumerate(names)}
            writer.commit(k, columns, made)
        writer.seal()


def compare_in_process(base: Path, tuned: Path, out: Path, checkpoint: Path | None) -> None:
    start = time.perf_counter()
    scores = rs.compare(rs.open_store(base), rs.open_store(tuned), MEASURES, checkpoint=checkpoint)
    seconds = time.perf_counter() - start
    values = [[s.layer_x, s.measure, s.value.hex()] for s in scores]
    out.write_text(json.dumps({"seconds": seconds, "peak_rss_gb": peak_mb() / 1000, "values": values}))


def run(base: Path, tuned: Path, out: Path, checkpoint: Path | None = None, kill_after: float | None = None) -> dict:
    command = [
        sys.executable,
        "-m",
        "benchmarks.scale",
        "--child",
        str(base),
        str(tuned),
        str(out),
        str(checkpoint or ""),
    ]
    process = subprocess.Popen(command)
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the comparison finished before it could be killed: use more rows"
        return {}
    assert process.wait() == 0
    return json.loads(out.read_text())


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        base, tuned, out, checkpoint = sys.argv[2:]
        compare_in_process(Path(base), Path(tuned), Path(out), Path(checkpoint) if checkpoint else None)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    stores = []
    for name, seed in (("base", 1), ("tuned", 2)):
        path = options.folder / f"{name}-{options.rows}x{options.layers}x{options.width}"
        start = time.perf_counter()
        generate(path, options.rows, options.layers, options.width, seed)
        print(f"{path}: {time.perf_counter() - start:.0f} s to write (0 if it existed)")
        stores.append(path)
    out, checkpoint = options.folder / "result.json", options.folder / "checkpoint"
    shutil.rmtree(checkpoint, ignore_errors=True)
    uninterrupted = run(*stores, out)
    # raw, unit and centred unit rows: three passes of S_xx, S_yy, S_xy over each chunk
    flops = 3 * 4 * options.rows * options.width**2 * options.layers
    rate = flops / uninterrupted["seconds"] / 1e9
    print(
        f"{len(uninterrupted['values'])} scores in {uninterrupted['seconds']:.1f} s, {rate:.0f} GFLOP/s in float64, "
        f"{rate / roofline()['fp64_gflops']:.2f} of the roofline, peak RSS {uninterrupted['peak_rss_gb']:.2f} GB"
    )
    run(*stores, out, checkpoint, kill_after=uninterrupted["seconds"] / 2)
    start = time.perf_counter()
    resumed = run(*stores, out, checkpoint)
    assert resumed["values"] == uninterrupted["values"], "a resumed comparison must have the same bits"
    print(f"killed half way, resumed in {time.perf_counter() - start:.1f} s: the same bits")
    shutil.rmtree(checkpoint)
    os.remove(out)


if __name__ == "__main__":
    main()
