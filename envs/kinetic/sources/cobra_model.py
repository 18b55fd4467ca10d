"""Kinetic models made from any constraint-based model that cobra reads.

Fluxes are given or those of the growth optimum; free energies and concentrations that are not given are assumed.
"""

import hashlib
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..disk_cache import read_entry, write_entry
from ..errors import KineticInputError
from ..network import Network
from ..steady_state import SteadyState
from .cobra_reactions import build_network
from .model_json import decode_network, decode_state, encode_network, encode_state
from .state_builder import complete_state
from .state_draws import FLUX_SCALE, SMALLEST_FLUX
from .value_table import read_concentrations, read_values

FORMAT = 1
"""Raised when the builder changes, so that older files in the cache are not read."""
AT_REST = 1e-8
"""mmol/gDW/h; growth drains trace species at 1e-7, and a solver's zeros are below 1e-10."""
RESTING = ("remove", "drive")
SBML_SUFFIXES = (".xml", ".sbml", ".xml.gz", ".sbml.gz", ".xml.bz2", ".sbml.bz2")
JSON_SUFFIXES = (".json",)
PICKLE_SUFFIXES = (".pickle", ".pkl", ".pickle.gz", ".pkl.gz")
GROWTH_AND_MAINTENANCE = {"SBO:0000629", "SBO:0000630"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CobraNetwork:
    """A network made from a cobra model, and what the model says of its fluxes.

    Parameters
    ----------
    network
        Reactions with their rate laws.
    reference
        Fluxes of the growth optimum by reaction, mmol/gDW/h; empty where the fluxes are given.
    directions
        +1 or -1 by reaction, where the model or its optimum allows one only.
    removed
        Reason to the reactions that were removed for it.
    species, reactions
        All names of the source: what is given for others is a mistake.
    """

    network: Network
    reference: dict[str, float]
    directions: dict[str, int]
    removed: dict[str, list[str]]
    species: list[str]
    reactions: list[str]


def load_cobra_model(
    path: str | os.PathLike[str],
    *,
    member: int = 0,
    flux_file: str | os.PathLike[str] | None = None,
    concentration_file: str | os.PathLike[str] | None = None,
    concentration_unit: str | None = None,
    constants: Collection[str] = (),
    left_out: Collection[str] = (),
    irreversible: Collection[str] = (),
    directions: Mapping[str, int] | None = None,
    resting: str = "remove",
    smallest_flux: float = SMALLEST_FLUX,
    flux_scale: float = FLUX_SCALE,
) -> tuple[Network, SteadyState]:
    """Return the network of an SBML or JSON file and one steady state of it, from the cache or built.

    Parameters
    ----------
    path
        SBML (``.xml``, ``.sbml``, also with ``.gz`` or ``.bz2``) or cobra's JSON.
    member
        Number of the draw of everything that is not given.
    flux_file
        CSV with the columns ``reaction`` and ``flux`` (mmol/gDW/h); reactions that it does not name are at rest. None:
        fluxes of the growth optimum.
    concentration_file, concentration_unit
        CSV with the columns ``species`` and ``concentration``, and its unit: M, mM, uM or nM.
    constants
        Species without a mass balance, besides those outside, protons, and those that a boundary reaction exchanges.
    left_out
        Reactions that are left out, besides boundary reactions and those that move no variable species.
    irreversible
        Reactions without thermodynamic meaning, besides objective, biomass and maintenance.
    directions
        +1 or -1 by reaction.
    resting
        What happens to reactions at rest: ``remove``, or ``drive`` those that can carry flux with ``smallest_flux``.
    smallest_flux, flux_scale
        See :func:`.state_builder.complete_state`.

    Raises
    ------
    KineticInputError
        With the file, the key, the value and the remedy.
    """
    file = Path(path)
    fluxes = None if flux_file is None else read_values(flux_file, "reaction", "flux")
    concentrations = None if concentration_file is None else read_concentrations(concentration_file, concentration_unit)
    choices: dict[str, Any] = {
        "constants": sorted(constants),
        "left_out": sorted(left_out),
        "irreversible": sorted(irreversible),
        "resting": resting,
    }
    key = {**_versions(), "file": _digest(file), "fluxes": fluxes, **choices}
    model = _decode(read_entry("cobra_network", key))
    if model is None:
        model = read_cobra_network(file, fluxes=fluxes, **choices)
        write_entry("cobra_network", key, _encode(model))
    for reason, names in model.removed.items():
        logger.info("%s: %d reactions %s", file.name, len(names), reason)
    state_key = {
        **key,
        "member": member,
        "concentrations": concentrations,
        "directions": dict(directions or {}),
        "smallest_flux": smallest_flux,
        "flux_scale": flux_scale,
    }
    state = decode_state(model.network, read_entry("cobra_state", state_key))
    if state is None:
        state, _ = complete_state(
            model.network,
            fluxes=_within(fluxes, [reaction.name for reaction in model.network.reactions]),
            concentrations=_within(concentrations, model.network.species, model.species, f"{concentration_file}"),
            directions={**model.directions, **(directions or {})},
            reference=model.reference,
            smallest_flux=smallest_flux,
            flux_scale=flux_scale,
            member=member,
            source=file.name,
        )
        write_entry("cobra_state", state_key, encode_state(model.network, state))
    return model.network, state


def read_cobra_network(
    source: Any,
    *,
    fluxes: Mapping[str, float] | None = None,
    constants: Collection[str] = (),
    left_out: Collection[str] = (),
    irreversible: Collection[str] = (),
    resting: str = "remove",
) -> CobraNetwork:
    """Return the kinetic network of a cobra model, or of a file that holds one.

    All reactions follow convenience kinetics but those without thermodynamic meaning. Options: see
    :func:`load_cobra_model`; ``fluxes`` are those of its file.
    """
    if resting not in RESTING:
        raise KineticInputError(f"resting={resting}: give {' or '.join(RESTING)}.")
    model = read_cobra_file(source) if isinstance(source, str | os.PathLike) else source
    reactions = [reaction.id for reaction in model.reactions]
    species = [metabolite.id for metabolite in model.metabolites]
    for what, names, known in (
        ("constants", constants, species),
        ("left_out", left_out, reactions),
        ("irreversible", irreversible, reactions),
        ("fluxes", fluxes or (), reactions),
    ):
        _check_known(names, known, f"{model.id}: {what}")
    water = {metabolite.id for metabolite in model.metabolites if _is_water(metabolite)}
    protons = {metabolite.id for metabolite in model.metabolites if _is_proton(metabolite)}
    boundary = {metabolite.id for reaction in model.boundary for metabolite in reaction.metabolites}
    outside = {metabolite.compartment for reaction in model.exchanges for metabolite in reaction.metabolites}
    fixed = boundary.union(constants, (m.id for m in model.metabolites if m.compartment in outside))
    unmoved = fixed | water | protons
    removed: dict[str, list[str]] = {"left out as asked": sorted(left_out)}
    moving = [reaction for reaction in model.reactions if not reaction.boundary and reaction.id not in left_out]
    removed["left out because they move no variable species"] = [
        reaction.id for reaction in moving if unmoved.issuperset(m.id for m in reaction.metabolites)
    ]
    idle = set(removed["left out because they move no variable species"])
    moving = [reaction for reaction in moving if reaction.id not in idle]
    reference = optimal_fluxes(model) if fluxes is None else dict(fluxes)
    resting_names = {reaction.id for reaction in moving if abs(reference.get(reaction.id, 0.0)) < AT_REST}
    if resting == "drive":
        resting_names &= blocked_reactions(model, resting_names)
    removed["removed because they are at rest" if resting == "remove" else "removed because they cannot carry flux"] = (
        sorted(resting_names)
    )
    moving = [reaction for reaction in moving if reaction.id not in resting_names]
    if not moving:
        raise KineticInputError(f"{model.id}: no reaction carries flux; check its bounds, objective or flux_file.")
    one_way = {reaction.id for reaction in moving if _is_lumped(reaction)}.union(irreversible)
    network = build_network(moving, constants=fixed, water=water, protons=protons, irreversible=one_way)
    kept = {reaction.id: reference[reaction.id] for reaction in moving if reference.get(reaction.id)}
    return CobraNetwork(
        network,
        kept if fluxes is None else {},
        _directions(moving, kept if resting == "remove" else {}),
        removed,
        species,
        reactions,
    )


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


def optimal_fluxes(model: Any) -> dict[str, float]:
    """Return the fluxes with the least sum among those of the optimum, mmol/gDW/h (Lewis et al. 2010)."""
    from cobra.exceptions import OptimizationError
    from cobra.flux_analysis import pfba

    try:
        solution = pfba(model)
    except OptimizationError as error:
        raise KineticInputError(
            f"{model.id}: there are no optimal fluxes ({error}); correct bounds and objective, or give flux_file."
        ) from error
    return {name: float(value) for name, value in solution.fluxes.items()}


def blocked_reactions(model: Any, names: Collection[str]) -> set[str]:
    """Return those of the named reactions that can carry no flux within the model's bounds."""
    from cobra.flux_analysis import find_blocked_reactions

    reactions = [model.reactions.get_by_id(name) for name in sorted(names)]
    return set(find_blocked_reactions(model, reactions, zero_cutoff=1e-6, processes=1)) if reactions else set()


def _directions(reactions: list[Any], reference: Mapping[str, float]) -> dict[str, int]:
    directions = {}
    for reaction in reactions:
        if reference.get(reaction.id):
            directions[reaction.id] = 1 if reference[reaction.id] > 0 else -1
        elif reaction.lower_bound >= 0:
            directions[reaction.id] = 1
        elif reaction.upper_bound <= 0:
            directions[reaction.id] = -1
    return directions


def _is_water(metabolite: Any) -> bool:
    return metabolite.formula in ("H2O", "OH2") or metabolite.id.startswith("h2o_")


def _is_proton(metabolite: Any) -> bool:
    return metabolite.formula == "H" or metabolite.id.startswith("h_")


def _is_lumped(reaction: Any) -> bool:
    """Whether a reaction stands for more than chemistry: growth, maintenance or the objective."""
    terms = reaction.annotation.get("sbo", ())
    named = "biomass" in reaction.id.lower() or reaction.id.upper() in ("ATPM", "NGAM")
    marked = GROWTH_AND_MAINTENANCE.intersection([terms] if isinstance(terms, str) else terms)
    return bool(named or marked or reaction.objective_coefficient != 0)


def _within(
    values: Mapping[str, float] | None, used: Collection[str], known: Collection[str] | None = None, what: str = ""
) -> dict[str, float] | None:
    """Return the values of what the network uses; names that the source does not know are refused."""
    if values is None:
        return None
    if known is not None:
        _check_known(values, known, what)
    return {name: value for name, value in values.items() if name in set(used)}


def _check_known(names: Collection[str], known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, 3)
            hint = f"did you mean {' or '.join(close)}?" if close else "leave it out."
            raise KineticInputError(f"{what} names {name}, which the model does not have; {hint}")


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        # The reader says what is wrong with the path.
        read_cobra_file(file)
        raise


def _versions() -> dict[str, Any]:
    try:
        return {"format": FORMAT, **{name: version(name) for name in ("cobra", "numpy", "scipy")}}
    except PackageNotFoundError as error:
        raise KineticInputError(f"A cobra model needs the package {error.name}: install it.") from error


def _encode(model: CobraNetwork) -> dict[str, Any]:
    return {
        "network": encode_network(model.network),
        "reference": model.reference,
        "directions": model.directions,
        "removed": model.removed,
        "species": model.species,
        "reactions": model.reactions,
    }


def _decode(content: Any) -> CobraNetwork | None:
    """Return the model, or None where the content is missing or is none."""
    try:
        network = decode_network(content["network"])
        rest = (content[name] for name in ("reference", "directions", "removed", "species", "reactions"))
        return None if network is None else CobraNetwork(network, *rest)
    except (KeyError, TypeError):
        return None
