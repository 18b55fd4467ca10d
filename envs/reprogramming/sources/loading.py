"""From options to cells with their regulators, whatever they come from."""

import dataclasses
from pathlib import Path

from .... import UserError
from ..config import ReprogrammingConfig
from ..data import Cells, StrArray
from .h5ad import read_h5ad
from .regulators import match_names, match_regulators, parse_regulators, read_factors

CORRELATION = "correlation"
"""``data.grn`` where regulators are guessed from correlations."""


def load_cells(config: ReprogrammingConfig) -> Cells:
    """Return the cells that options name: of an embedded landscape, or of an .h5ad file with its regulators.

    Raises
    ------
    UserError
        If a file is missing or unusable, if an .h5ad comes without a network, or if the kind of data has no cells.
    """
    options = config.data
    if options.kind == "landscape":
        from ..landscape import generate

        return generate(options.preset, options.seed)
    if options.kind == "krumsiek11":
        raise UserError("data.kind=krumsiek11 is a system of equations without cells: choose landscape or h5ad.")
    if options.h5ad is None:
        raise UserError(f"data.h5ad=null: data.kind={options.kind} brings no cells, so give data.h5ad=FILE.")
    cells = read_h5ad(options.h5ad, config)
    if options.kind == "table" and options.grn is None:
        # A finished table needs no network.
        return cells
    return add_regulators(cells, config)


def add_regulators(cells: Cells, config: ReprogrammingConfig) -> Cells:
    """Return cells with the regulators that ``data.grn`` names.

    With ``data.grn=correlation`` there are none yet: they are measured on training cells once these are known.
    """
    options = config.data
    if options.grn is None:
        raise UserError(
            "data.grn=null: which transcription factors regulate which gene is not in the cells, so give a file, or "
            "data.grn=correlation with data.grn_tfs=FILE."
        )
    if options.grn == CORRELATION:
        measured_factors(cells.genes, config)
        return cells
    network = parse_regulators(Path(options.grn), options.grn_direction)
    regulators, notes = match_regulators(network, cells.genes, options.grn, options.case_insensitive)
    return dataclasses.replace(cells, regulators=regulators, log=(*cells.log, *notes))


def measured_factors(genes: StrArray, config: ReprogrammingConfig) -> list[str]:
    """Return the factors of ``data.grn_tfs`` that are among the genes, sorted; none raises UserError."""
    factors = read_factors(config.data.grn_tfs)
    matched, _ = match_names(factors, genes, config.data.case_insensitive)
    if not matched:
        raise UserError(
            f"data.grn_tfs={config.data.grn_tfs}: none of {len(factors)} factors such as {', '.join(factors[:5])} is "
            f"among the genes such as {', '.join(sorted(map(str, genes))[:5])}, so give the factors of this species, "
            "or set data.case_insensitive=true."
        )
    return sorted(set(matched.values()))
