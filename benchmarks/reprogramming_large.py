"""From a file of 30,000 cells x 6,000 genes to a trained agent, by the commands that a user would type.

Run ``python benchmarks/reprogramming_large.py FOLDER [CELLS GENES]`` with one thread or two. It draws counts on the
embedded landscape's tree, writes them as ``cells.h5ad`` with their regulators, runs `bioppo data build` and
`bioppo train` as processes of their own, and prints seconds and peak memory of each. 3,000 variable genes are kept.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from bioppo.envs.reprogramming.landscape import Preset, generate

DEPTH = (4_000, 12_000)
"""Counts per cell, least and most."""
BLOCK = 1_000
KEYS = ("success", "success_solvable", "length_ratio")


def main() -> None:
    """Write the file, then run the two commands."""
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    cells, genes = map(int, sys.argv[2:]) if len(sys.argv) == 4 else (30_000, 6_000)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    write(folder, cells, genes)
    print(f"{cells} cells x {genes} genes written in {time.perf_counter() - started:.0f} s", flush=True)
    options = [
        "env=reprogramming_h5ad",
        f"env.data.h5ad={folder / 'cells.h5ad'}",
        f"env.data.grn={folder / 'regulators.json'}",
        "env.table.embedding=pca2",
        "env.table.gain=auto",
    ]
    os.environ["BIOPPO_CACHE"] = str(folder / "cache")
    run("data build", ["data", "build", "reprogramming", *options[1:], "env.data.kind=h5ad"])
    run("train", ["train", *options, "algo=masked_ppo", f"results={folder / 'results'}"])
    for file in folder.glob("results/**/result.json"):
        scalars = json.loads(file.read_text())
        for agent in ("last", "best", "greedy", "greedy_no_revisit", "distance_net", "bfs", "random"):
            found = {key: round(scalars[f"{agent}/{key}"], 3) for key in KEYS if f"{agent}/{key}" in scalars}
            print(f"  {agent:<18} {found}")


def write(folder: Path, cells: int, genes: int) -> None:
    """Write counts with types, and who may regulate whom."""
    import anndata
    import pandas as pd

    drawn = generate(Preset(cells=cells, genes=genes, a=1.3, b=1.0), seed=0)
    generator = np.random.default_rng(1)
    parts = []
    for first in range(0, cells, BLOCK):
        level = np.expm1(np.asarray(drawn.X[first : first + BLOCK]))
        depth = generator.integers(*DEPTH, size=(len(level), 1))
        parts.append(sparse.csr_array(generator.poisson(level / level.sum(axis=1, keepdims=True) * depth)))
    counts = sparse.csr_matrix(sparse.vstack(parts).astype(np.float32))
    types = pd.DataFrame({"celltype": drawn.clusters[drawn.cluster_of_cell]}, index=list(drawn.cells))
    anndata.AnnData(counts, obs=types, var=pd.DataFrame(index=list(drawn.genes))).write_h5ad(folder / "cells.h5ad")
    (folder / "regulators.json").write_text(json.dumps(drawn.regulators))


def run(name: str, words: list[str]) -> None:
    """Run a command; print its seconds and the largest memory of any command so far."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bioppo.cli.main", *words], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{name}: {time.perf_counter() - started:.0f} s, peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
