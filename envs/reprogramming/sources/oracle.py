"""Saved objects of CellOracle (``.celloracle.oracle``): their cells, smoothed expression and network.

Kamimoto et al. 2023, doi:10.1038/s41586-022-05688-9. The file is HDF5 with pickled parts, so reading one runs code
from it, and needs the package celloracle in the environment that wrote it or one like it.
"""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from .... import UserError
from ..celloracle_backend import grn_of_coefficients, import_celloracle
from ..config import ReprogrammingConfig
from ..data import Cells, FloatArray, Grn


def read_oracle(config: ReprogrammingConfig) -> tuple[Cells, Grn]:
    """Read ``data.oracle``: cells with smoothed expression, types, drawing and regulators, and the network.

    Raises
    ------
    UserError
        If the file may not or cannot be read, celloracle is not installed, or a step of CellOracle has not been taken.
    """
    path = Path(str(config.data.oracle))
    oracle = _load(path, config.data.allow_pickle)
    table = oracle.adata
    for layer, step in (("normalized_count", "import_anndata_as_raw_count"), ("imputed_count", "knn_imputation")):
        if layer not in table.layers:
            raise UserError(f"{path}: there is no layer {layer}: call {step}() in CellOracle and save again.")
    if not getattr(oracle, "TFdict", None):
        raise UserError(f"{path}: there are no regulators: call import_TF_data() in CellOracle and save again.")
    genes = np.array([str(name) for name in table.var_names])
    labels = np.array([str(label) for label in table.obs[oracle.cluster_column_name]])
    clusters, cluster_of_cell = np.unique(labels, return_inverse=True)
    measured = set(genes.tolist())
    regulators = {
        str(target): sorted({str(tf) for tf in tfs} & measured - {str(target)})
        for target, tfs in oracle.TFdict.items()
        if str(target) in measured
    }
    cells = Cells(
        X=_matrix(table.layers["normalized_count"]),
        log_normalised=True,
        cells=np.array([str(name) for name in table.obs_names]),
        genes=genes,
        cluster_of_cell=cluster_of_cell.reshape(-1).astype(np.int32),
        clusters=clusters,
        embedding=np.asarray(table.obsm[oracle.embedding_name], dtype=np.float64),
        regulators={target: tfs for target, tfs in regulators.items() if tfs},
        imputed=_matrix(table.layers["imputed_count"]),
        log=(f"{path.name}: {len(labels)} cells, {len(genes)} genes, {len(clusters)} types, of celloracle's Oracle",),
    )
    return cells, _network(oracle, path, cells)


def prepare_options(config: ReprogrammingConfig) -> ReprogrammingConfig:
    """Return options under which preprocessing keeps an Oracle's cells, genes, smoothed expression and drawing."""
    data = dataclasses.replace(
        config.data, min_cells_per_gene=0, min_genes_per_cell=0, max_mitochondrial=1.0, drop_types=[],
        max_cells=np.iinfo(np.int32).max, n_genes=np.iinfo(np.int32).max, values="lognorm",
    )  # fmt: skip
    return dataclasses.replace(config, data=data, impute=dataclasses.replace(config.impute, use_existing=True))


def _load(path: Path, allow_pickle: bool) -> Any:
    if not path.is_file():
        raise UserError(f"data.oracle={path}: there is no such file.")
    if not allow_pickle:
        raise UserError(
            f"data.oracle={path}: the file holds pickles, which run code: set data.allow_pickle=true if you made it or "
            "trust it, or build a table where you do and give data.table=table.npz."
        )
    celloracle = import_celloracle()
    warnings.warn(
        f"{path}: unpickling runs code from the file; open only files you made or trust.", UserWarning, stacklevel=4
    )
    try:
        oracle = celloracle.load_hdf5(str(path), object_class_name="Oracle")
    except Exception as error:
        raise UserError(
            f"data.oracle={path}: celloracle cannot read it ({error}): give a file that its to_hdf5() wrote with "
            "these versions of pandas and anndata."
        ) from error
    if getattr(oracle, "adata", None) is None:
        raise UserError(f"data.oracle={path}: there are no cells in it: save it with Oracle.to_hdf5().")
    return oracle


def _network(oracle: Any, path: Path, cells: Cells) -> Grn:
    unit = getattr(oracle, "GRN_unit", "cluster")
    fitted: dict[str, Any] = {}
    if unit == "whole" and hasattr(oracle, "coef_matrix"):
        fitted = {unit: oracle.coef_matrix}
    elif unit == "cluster":
        fitted = {str(name): matrix for name, matrix in getattr(oracle, "coef_matrix_per_cluster", {}).items()}
    names = [unit] if unit == "whole" else cells.clusters.tolist()
    if not set(names) <= set(fitted):
        raise UserError(
            f"{path}: there is no network for every type: call fit_GRN_for_simulation() in CellOracle and save again."
        )
    matrices = [fitted[name] for name in names]
    tfs = np.array(sorted({tf for regulators in cells.regulators.values() for tf in regulators}))
    acting = {str(tf) for matrix in matrices for tf in matrix.index[(matrix.to_numpy() != 0).any(axis=1)]}
    if unlisted := sorted(acting - set(tfs.tolist())):
        raise UserError(
            f"{path}: {len(unlisted)} regulators have coefficients and are not in TFdict, {', '.join(unlisted[:3])} "
            "first: call import_TF_data() and fit_GRN_for_simulation() again in CellOracle."
        )
    return grn_of_coefficients(matrices, cells.genes, tfs)


def _matrix(values: Any) -> FloatArray:
    dense = values.toarray() if sparse.issparse(values) else values
    matrix: FloatArray = np.asarray(dense, dtype=np.float64)
    return matrix
