"""Time and memory of reading, splitting and preparing perturbed cells.

Run ``python benchmarks/perturbation_data.py`` on an idle machine. Files of sparse counts are written to a temporary
folder, one that is read whole and a larger one of which 20,000 control and 20,000 perturbed cells are kept; each is
read in a process of its own. The last column is the peak over the float32 matrix of all genes of the kept cells.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_GENES = 2000
N_PERTURBATIONS = 50
FORMS = ("csr", "csc", "dense")


def write_counts(path: Path, n_cells: int, n_genes: int, form: str, seed: int = 0) -> None:
    """Write cells, half of them controls, a tenth of whose values are not zero, block by block."""
    import h5py

    random = np.random.default_rng(seed)
    labels = np.where(np.arange(n_cells) % 2, random.integers(1, N_PERTURBATIONS + 1, n_cells), 0)
    # Most genes are expressed in few cells and some in nearly all.
    rates = random.gamma(0.12, 1.0, n_genes) * 1.3
    with h5py.File(path, "w") as file:
        for table, name, count in (("obs", "cell", n_cells), ("var", "gene", n_genes)):
            group = file.create_group(table)
            group.attrs["_index"] = "_index"
            group["_index"] = np.array([f"{name}_{place}" for place in range(count)], dtype="S")
        group = file.create_group("obs/perturbation")
        group["codes"] = labels.astype(np.int16)
        names = ["control", *(f"gene_{place}" for place in range(N_PERTURBATIONS))]
        group["categories"] = np.array(names, dtype="S")
        if form == "dense":
            write_dense(file, random, rates, n_cells)
        else:
            write_compressed(file, random, rates, n_cells, form)


def blocks(random: np.random.Generator, rates: np.ndarray, n_lines: int) -> "list[np.ndarray]":
    """Yield Poisson counts of 2,000 cells at a time."""
    return (random.poisson(rates, (min(2000, n_lines - start), len(rates))) for start in range(0, n_lines, 2000))


def write_dense(file: object, random: np.random.Generator, rates: np.ndarray, n_cells: int) -> None:
    """Write X as an array, compressed as AnnData files usually are."""
    matrix = file.create_dataset("X", (n_cells, len(rates)), np.float32, chunks=(500, len(rates)), compression="gzip")
    start = 0
    for block in blocks(random, rates, n_cells):
        matrix[start : start + len(block)] = block
        start += len(block)


def write_compressed(file: object, random: np.random.Generator, rates: np.ndarray, n_cells: int, form: str) -> None:
    """Write X as a CSR or CSC matrix."""
    from scipy import sparse

    matrix = sparse.vstack([sparse.csr_matrix(block, dtype=np.float32) for block in blocks(random, rates, n_cells)])
    matrix = matrix.asformat(form)
    group = file.create_group("X")
    group.attrs["encoding-type"] = f"{form}_matrix"
    group.attrs["shape"] = matrix.shape
    for key in ("data", "indices", "indptr"):
        group.create_dataset(key, data=getattr(matrix, key), compression="gzip" if key != "indptr" else None)


def measure(path: str) -> None:
    """Print seconds, peak memory and the number of cells of one file; run in a process of its own."""
    from bioppo.envs.perturbation.loading import load_prepared
    from bioppo.envs.perturbation.options import DataOptions

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    prepared = load_prepared(DataOptions(source="file", path=path))
    facts = {
        "seconds": time.perf_counter() - start,
        "cells": len(prepared.label),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "imports": before * 1024,
    }
    print(json.dumps(facts))


def main() -> None:
    """Print a line per file."""
    print("form   cells in file   genes   kept    seconds (bar 60)   peak GiB (bar 4)   peak/dense matrix (bar 4)")
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            for n_cells, n_genes in ((20_000, N_GENES), (100_000, N_GENES)):
                path = Path(folder) / "cells.h5ad"
                subprocess.run([sys.executable, __file__, "write", path, str(n_cells), str(n_genes), form], check=True)
                command = [sys.executable, __file__, "measure", str(path)]
                facts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                matrix = facts["cells"] * n_genes * 4
                print(
                    f"{form:5}  {n_cells:13,}  {n_genes:6,}  {facts['cells']:6,}  {facts['seconds']:17.1f}"
                    f"  {facts['peak'] / 2**30:16.2f}  {facts['peak'] / matrix:25.2f}",
                    flush=True,
                )
                path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2])
    elif sys.argv[1:2] == ["write"]:
        write_counts(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
