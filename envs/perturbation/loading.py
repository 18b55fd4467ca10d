"""From options to prepared data in one call."""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
from scipy import sparse

from .data import SEPARATOR, PerturbationData, PreparedData
from .options import DataOptions, GeneratorOptions, SplitOptions
from .preprocessing import preprocess
from .sources.generator import generate_synthetic
from .sources.presets import preset_options
from .sources.readers import load_data
from .sources.validation import check_groups
from .splits import split_data

PLACES = ("source", "path", "preset", "control_file", "obs_file")
"""Options that say where the data lie and not what they are."""


def load_prepared(
    data: DataOptions | None = None, generator: GeneratorOptions | None = None, split: SplitOptions | None = None
) -> PreparedData:
    """Read or generate cells, split and prepare them.

    ``provenance["fingerprint"]`` is the SHA-256 of the cells and of all options that they were prepared with; the
    same cells in another place have the same one.
    """
    data, split = preset_options(data or DataOptions()), split or SplitOptions()
    if data.source == "synthetic":
        data = dataclasses.replace(data, combo_separator=SEPARATOR)
        cells = generate_synthetic(generator)
        check_groups(cells.labels, cells.control, "The generator")
    else:
        cells = load_data(options=data)
    parts = split_data(cells, split, combo_separator=data.combo_separator)
    prepared = preprocess(cells, parts, data)
    notes = {"split": dataclasses.asdict(split), "fingerprint": fingerprint(cells, data, split)}
    return dataclasses.replace(prepared, provenance=prepared.provenance | notes)


def fingerprint(cells: PerturbationData, data: DataOptions, split: SplitOptions) -> str:
    """Return the SHA-256 of cells as they were read and of the options that prepare and split them."""
    digest = hashlib.sha256()
    options = {key: value for key, value in dataclasses.asdict(data).items() if key not in PLACES}
    digest.update(json.dumps([options, dataclasses.asdict(split)], sort_keys=True, default=list).encode())
    matrix = cells.X
    arrays: list[Any] = [matrix.data, matrix.indices, matrix.indptr] if sparse.issparse(matrix) else [matrix]
    for array in [*arrays, cells.control]:
        digest.update(str((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    for names in (cells.genes, cells.labels, cells.cell_types, cells.batches):
        digest.update(json.dumps(None if names is None else names.tolist()).encode())
    return digest.hexdigest()
