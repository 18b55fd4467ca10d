"""What cobra says of a constraint-based model: its file, optimal fluxes, and what species and reactions are."""

import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import KineticInputError

AT_REST = 1e-8
"""mmol/gDW/h; growth drains trace species at 1e-7, and a solver's zeros are below 1e-10."""
BLOCKED = 1e-6
"""mmol/gDW/h; a reaction whose largest flux is below carries none."""
SBML_SUFFIXES = (".xml", ".sbml", ".xml.gz", ".sbml.gz", ".xml.bz2", ".sbml.bz2")
JSON_SUFFIXES = (".json",)
PICKLE_SUFFIXES = (".pickle", ".pkl", ".pickle.gz", ".pkl.gz")
GROWTH_AND_MAINTENANCE = {"SBO:0000629", "SBO:0000630"}


def read_cobra_file(path: str | os.PathLike[str]) -> Any:
    """Return the cobra model of an SBML or JSON file.

    Raises
    ------
    KineticInputError
        The file is missing, of another kind, broken, or cobra is not installed. Pickles run code when they are read
        and are refused.
    """
    file = Path(path)
    name = file.name.lower()
    if name.endswith(PICKLE_SUFFIXES):
        raise KineticInputError(f"{file}: a pickle can run any code when it is read; save the model as SBML or JSON.")
    if not name.endswith(SBML_SUFFIXES + JSON_SUFFIXES):
        raise KineticInputError(f"{file}: give a model in SBML ({', '.join(SBML_SUFFIXES)}) or cobra's JSON (.json).")
    if not file.is_file():
        raise KineticInputError(f"{file}: there is no such file; give the path of a model in SBML or JSON.")
    try:
        from cobra.io import load_json_model, read_sbml_model
    except ImportError as error:
        raise KineticInputError(f"{file} is read with cobra: install the package cobra.") from error
    # Where a program logs at INFO, as Hydra's do, cobra announces what its default solver cannot be told.
    logging.getLogger("cobra.core.model").setLevel(logging.WARNING)
    read = load_json_model if name.endswith(JSON_SUFFIXES) else read_sbml_model
    try:
        return read(os.fspath(file))
    except Exception as error:  # cobra raises whatever its parsers raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise KineticInputError(f"{file}: cobra cannot read it ({reason}); give a valid SBML or JSON model.") from error


def optimal_fluxes(model: Any, left_out: Collection[str] = ()) -> dict[str, float]:
    """Return the optimal fluxes of least sum without some reactions, mmol/gDW/h by reaction (Lewis et al. 2010)."""
    from cobra.exceptions import OptimizationError
    from cobra.flux_analysis import pfba

    with model:
        for name in left_out:
            model.reactions.get_by_id(name).knock_out()
        try:
            solution = pfba(model)
        except OptimizationError as error:
            raise KineticInputError(
                f"{model.id}: there are no optimal fluxes (the problem is {model.solver.status}); correct its "
                "bounds and objective, or give flux_file."
            ) from error
    return {name: float(value) for name, value in solution.fluxes.items()}


def blocked_reactions(model: Any, names: Collection[str]) -> set[str]:
    """Return those of the named reactions that can carry no flux within the model's bounds."""
    from cobra.flux_analysis import find_blocked_reactions

    reactions = [model.reactions.get_by_id(name) for name in sorted(names)]
    return set(find_blocked_reactions(model, reactions, zero_cutoff=BLOCKED, processes=1)) if reactions else set()


def is_water(metabolite: Any) -> bool:
    """Whether a species is the solvent, by formula or BiGG identifier."""
    return bool(metabolite.formula in ("H2O", "OH2") or metabolite.id.startswith("h2o_"))


def is_proton(metabolite: Any) -> bool:
    """Whether a species is a proton, by formula or BiGG identifier."""
    return bool(metabolite.formula == "H" or metabolite.id.startswith("h_"))


def is_lumped(reaction: Any) -> bool:
    """Whether a reaction stands for more than chemistry: growth, maintenance or the objective."""
    terms = reaction.annotation.get("sbo", ())
    named = "biomass" in reaction.id.lower() or reaction.id.upper() in ("ATPM", "NGAM")
    marked = GROWTH_AND_MAINTENANCE.intersection([terms] if isinstance(terms, str) else terms)
    return bool(named or marked or reaction.objective_coefficient)
