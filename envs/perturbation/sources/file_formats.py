"""Files of cells, opened without reading their values: .h5ad, 10x .h5, folders with matrix.mtx, and .npz.

HDF5 files are read block by block, so that a file larger than memory costs what its chosen cells cost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .... import UserError
from ..data import IntArray
from .stored_matrix import csr_rows, row_reader


@dataclass(frozen=True)
class CellFile:
    """A file of cells whose values are read on demand.

    Attributes
    ----------
    path, n_cells
        Which file, and how many cells it has.
    genes
        (n_genes,) names as they stand there.
    columns
        What is said about cells: name to a function that returns (n_cells,) names, "" where there is none.
    rows
        Returns the values (n_rows, n_genes) of increasing positions, CSR or dense float32.
    log1p
        Whether the file says that its values are logarithms.
    duplicate_cells
        How many cells have a name that another cell has too.
    """

    path: Path
    n_cells: int
    genes: NDArray[np.str_]
    columns: dict[str, Callable[[], NDArray[np.str_]]]
    rows: Callable[[IntArray], Any]
    log1p: bool = False
    duplicate_cells: int = 0


@contextmanager
def open_cells(
    path: Path, *, layer: str | None = None, gene_col: str | None = None, obs_file: str | None = None
) -> Iterator[CellFile]:
    """Open a file of cells by its kind; what cannot be read raises :class:`UserError`."""
    if not path.exists():
        raise UserError(
            f"{path} does not exist: give an .h5ad, a 10x .h5, a folder with matrix.mtx, or an .npz with env.data.path "
            "(env.data.control_file)."
        )
    if layer is not None and path.suffix != ".h5ad":
        raise UserError(f"layer={layer}: {path} is no .h5ad and has no layers, so leave layer out.")
    if path.is_dir():
        yield with_table(open_mtx_folder(path), obs_file)
    elif path.suffix == ".npz":
        yield open_npz(path)
    elif path.suffix in (".h5ad", ".h5"):
        import h5py

        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise UserError(f"{path} is no HDF5 file ({error}): it may be damaged, so fetch it again.") from error
        with file:
            yield (
                open_h5ad(path, file, layer, gene_col)
                if path.suffix == ".h5ad"
                else with_table(open_10x(path, file), obs_file)
            )
    else:
        raise UserError(f"{path} has no known ending: give an .h5ad, a 10x .h5, a folder with matrix.mtx, or an .npz.")


def open_h5ad(path: Path, file: Any, layer: str | None, gene_col: str | None) -> CellFile:
    """Open an AnnData file, of any version that stores ``X`` as a dense, CSR or CSC matrix."""
    place = "X" if layer is None else "raw/X" if layer == "raw" and "layers/raw" not in file else f"layers/{layer}"
    for needed in (place, "obs", "var"):
        if needed not in file:
            layers = ", ".join(file.get("layers", ())) or "none"
            raise UserError(f"{path} has no {needed}: its layers are {layers}, so check the key layer.")
    variables = "raw/var" if place == "raw/X" else "var"
    genes = table_column(file, variables, index_name(file[variables]) if gene_col is None else gene_col, path)
    cells = table_column(file, "obs", index_name(file["obs"]), path)
    columns = {name: column_reader(file, name, path) for name in column_names(file["obs"])}
    return CellFile(
        path,
        len(cells),
        genes,
        columns,
        row_reader(file[place], (len(cells), len(genes)), path),
        # What uns says is meant for X and what was X before genes were chosen, not for another layer.
        log1p=not place.startswith("layers/") and "log1p" in file.get("uns", ()),
        duplicate_cells=len(cells) - len(np.unique(cells)),
    )


def column_reader(file: Any, name: str, path: Path) -> Callable[[], NDArray[np.str_]]:
    """Return a function that reads a column of obs."""
    return lambda: table_column(file, "obs", name, path)


def index_name(table: Any) -> str:
    """Return which column of a table names its rows."""
    return str(table.attrs.get("_index", "index" if table_fields(table) is None else table_fields(table)[0]))


def table_fields(table: Any) -> Any:
    """Return the fields of a table that an old AnnData stored as one array of records, else None."""
    return getattr(getattr(table, "dtype", None), "names", None)


def column_names(table: Any) -> list[str]:
    """Return the columns of a table, without its index."""
    fields = table_fields(table)
    names = list(table) if fields is None else list(fields)
    return [name for name in names if name not in ("__categories", index_name(table))]


def table_column(file: Any, table: str, name: str, path: Path) -> NDArray[np.str_]:
    """Return a column of obs or var as names; "" where a value is missing."""
    group = file[table]
    if table_fields(group) is not None:
        if name not in table_fields(group):
            raise UserError(f"{path} has no column {name} in {table}: choose one of {', '.join(column_names(group))}.")
        values, categories = group[name], file.get(f"uns/{name}_categories")
        return as_names(values) if categories is None else decode(values, as_names(categories[:]))
    if name not in group:
        raise UserError(f"{path} has no column {name} in {table}: choose one of {', '.join(column_names(group))}.")
    column = group[name]
    if hasattr(column, "keys"):
        if "categories" in column:
            return decode(column["codes"][:], as_names(column["categories"][:]))
        names = as_names(column["values"][:])
        return np.where(column["mask"][:], "", names)
    if "__categories" in group and name in group["__categories"]:
        return decode(column[:], as_names(group["__categories"][name][:]))
    return as_names(column[:])


def decode(codes: Any, categories: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the category of each code; "" for a negative one, which means missing."""
    return np.append(categories, "")[np.where(codes < 0, len(categories), codes)]


def as_names(values: Any) -> NDArray[np.str_]:
    """Return values as text; "" for those that mean missing."""
    if values.dtype.kind in "SO":
        values = np.array([value.decode() if isinstance(value, bytes) else str(value) for value in values], dtype=str)
    names = values.astype(str)
    return np.where(np.isin(names, ("nan", "NaN", "None", "<NA>")), "", names)


def open_10x(path: Path, file: Any) -> CellFile:
    """Open the feature-barcode matrix of 10x Genomics (Cell Ranger 3 and later); genes alone, no antibodies."""
    if "matrix" not in file or "features" not in file["matrix"]:
        raise UserError(f"{path} has no matrix/features: give a feature-barcode matrix of Cell Ranger 3 or later.")
    matrix = file["matrix"]
    genes, barcodes = as_names(matrix["features/name"][:]), as_names(matrix["barcodes"][:])
    read = row_reader_10x(matrix, (len(barcodes), len(genes)))
    expressed = np.arange(len(genes))
    if "feature_type" in matrix["features"]:
        expressed = np.flatnonzero(as_names(matrix["features/feature_type"][:]) == "Gene Expression")
    return CellFile(
        path,
        len(barcodes),
        genes[expressed],
        {"barcode": lambda: barcodes},
        lambda rows: read(rows)[:, expressed],
        duplicate_cells=len(barcodes) - len(np.unique(barcodes)),
    )


def row_reader_10x(matrix: Any, shape: tuple[int, int]) -> Callable[[IntArray], Any]:
    """Return a function that reads cells; columns of 10x's matrix are cells, which makes it CSR over cells."""
    return lambda rows: csr_rows(matrix, shape, rows)


def open_mtx_folder(path: Path) -> CellFile:
    """Open a folder with matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv), plain or gzipped."""
    from scipy.io import mmread

    matrix = sparse.csr_matrix(mmread(file_in(path, "matrix.mtx")).T, dtype=np.float32)
    features = read_lines(file_in(path, "features.tsv", "genes.tsv"))
    # Identifier, name, type; older files have no type.
    genes = np.array([line[1] if len(line) > 1 else line[0] for line in features])
    barcodes = np.array([line[0] for line in read_lines(file_in(path, "barcodes.tsv"))])
    if matrix.shape != (len(barcodes), len(genes)):
        raise UserError(
            f"{path} has {matrix.shape[1]} x {matrix.shape[0]} values for {len(genes)} features and {len(barcodes)} "
            "barcodes: its three files do not belong together, so fetch them again."
        )
    expressed = [number for number, line in enumerate(features) if len(line) < 3 or line[2] == "Gene Expression"]
    matrix = matrix[:, expressed]
    return CellFile(
        path,
        len(barcodes),
        genes[expressed],
        {"barcode": lambda: barcodes},
        lambda rows: matrix[rows],
        duplicate_cells=len(barcodes) - len(np.unique(barcodes)),
    )


def file_in(folder: Path, *names: str) -> Path:
    """Return the first of some files that is in a folder, plain or gzipped."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                return path
    raise UserError(f"{folder} has no {' or '.join(names)}: give a folder with matrix.mtx, barcodes and features.")


def read_lines(path: Path) -> list[list[str]]:
    """Return the tab-separated lines of a plain or gzipped file."""
    import gzip

    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [line.rstrip("\r\n").split("\t") for line in file]


def open_npz(path: Path) -> CellFile:
    """Open an archive with ``X``, ``genes`` and ``label``, and perhaps ``cell_type`` and ``batch``."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): write X, genes and label with numpy.savez.") from error
    if lacking := [name for name in ("X", "genes", "label") if name not in arrays]:
        raise UserError(f"{path} lacks {', '.join(lacking)}: write X, genes and label with numpy.savez.")
    values = np.asarray(arrays["X"], dtype=np.float32)
    sizes = (len(arrays["label"]), len(arrays["genes"]))
    if values.shape != sizes:
        raise UserError(
            f"{path} has X of shape {values.shape} for {sizes[0]} labels and {sizes[1]} genes: make them fit."
        )
    columns = {name: named(arrays[name]) for name in ("label", "cell_type", "batch") if name in arrays}
    columns["perturbation"] = columns["label"]
    return CellFile(path, len(values), as_names(arrays["genes"]), columns, lambda rows: values[rows])


def named(values: Any) -> Callable[[], NDArray[np.str_]]:
    """Return a function that returns values as names."""
    return lambda: as_names(values)


def with_table(cells: CellFile, obs_file: str | None) -> CellFile:
    """Add the columns of a table of cells; cells that it lacks have no value there."""
    if obs_file is None:
        return cells
    import csv

    path = Path(obs_file)
    if not path.exists():
        raise UserError(f"obs_file={obs_file} does not exist: give a .csv or .tsv with a row per cell.")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    table = {line[0]: line for line in lines[1:] if line}
    barcodes = cells.columns["barcode"]()
    if not set(barcodes) & set(table):
        raise UserError(f"obs_file={obs_file} names no cell of {cells.path}: its first column must have the barcodes.")
    added = {
        name: named(np.array([table[code][place] if code in table else "" for code in barcodes]))
        for place, name in enumerate(lines[0][1:], start=1)
    }
    return replace(cells, columns={**cells.columns, **added})
