"""From options to what a table is built from: prepared cells, their network and the actions."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ... import UserError
from .config import ReprogrammingConfig
from .data import TRAIN, Actions, Grn, Prepared


@dataclass(frozen=True)
class Simulation:
    """What moves follow from, besides the options of a table.

    Attributes
    ----------
    prepared, grn, actions
        Cells, their network, and the columns of the table.
    source
        Where the cells come from, in words.
    """

    prepared: Prepared
    grn: Grn
    actions: Actions
    source: str


def load_simulation(config: ReprogrammingConfig) -> Simulation:
    """Read or draw cells, prepare them, fit their network and list the actions; a saved Oracle brings its network.

    Raises
    ------
    UserError
        If the kind of data has no cells to simulate, and for all that is wrong with them.
    """
    from .overexpression import make_actions
    from .preprocess import run
    from .sources.loading import load_cells

    data = config.data
    if data.kind in ("table", "krumsiek11"):
        raise UserError(f"data.kind={data.kind} has no cells to simulate: choose landscape, h5ad or oracle.")
    if data.kind == "oracle":
        from .sources.oracle import prepare_options, read_oracle

        cells, grn = read_oracle(config)
        prepared = run(cells, prepare_options(config))
        source = f"oracle {data.oracle}"
    else:
        prepared = run(load_cells(config), config)
        grn = fit_network(prepared, config)
        source = f"landscape {data.preset}, seed {data.seed}" if data.kind == "landscape" else f"h5ad {data.h5ad}"
    actions = make_actions(grn, prepared, config)
    prepared = replace(prepared, log=(*prepared.log, *note_inactive(grn, data.gene_order)))
    if config.dynamics.multi_gene is not None:
        from .dynamics.multi_gene import add_combinations

        actions = add_combinations(actions, config.dynamics.multi_gene)
    return Simulation(prepared, grn, actions, source)


def note_inactive(grn: Grn, order: list[str] | None) -> list[str]:
    """Return a line that names the transcription factors without actions, since they act on no other gene; or none."""
    inactive = np.sort(grn.tfs[~grn.active]).tolist()
    if order is not None or not inactive:
        return []
    return [f"{len(inactive)} transcription factors act on no other gene and have no actions: {', '.join(inactive)}"]


def fit_network(prepared: Prepared, config: ReprogrammingConfig) -> Grn:
    """Return the network of every type that options ask for, fitted on training cells or on all.

    Raises
    ------
    UserError
        If there are no regulators, or too few cells of a type.
    """
    from .grn import fit, fit_filtered

    options = config.grn
    factors = sorted({name for members in prepared.regulators.values() for name in members})
    if not factors:
        raise UserError("data.grn: no measured gene has a measured regulator, so give regulators of these genes.")
    rows = np.flatnonzero(prepared.split == TRAIN) if options.fit_on == "train" else None
    fitted = partial(
        fit if options.filter == "none" else fit_filtered,
        prepared.imputed,
        prepared.cluster_of_cell,
        prepared.regulators,
        alpha=options.alpha,
        unit=options.unit,
        rows=rows,
        genes=prepared.genes,
        tfs=np.array(factors),
        clusters=prepared.clusters,
    )
    if options.filter == "bagging":
        fitted = partial(
            fitted,
            max_p_value=options.max_p_value,
            min_coef_abs=options.min_coef_abs,
            max_edges=options.max_edges,
            seed=options.seed,
        )
    if config.sim.backend == "celloracle":
        from . import celloracle_backend

        return celloracle_backend.fit(prepared, config, None if options.filter == "none" else fitted())
    return fitted()
