"""Kinetic models made from any constraint-based model that cobra reads.

Fluxes are given or those of the growth optimum; free energies and concentrations that are not given are assumed.
"""

import hashlib
import logging
import os
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..disk_cache import read_entry, write_entry
from ..errors import KineticInputError
from ..network import Network
from ..steady_state import SteadyState
from .cobra_network import CobraNetwork, check_known, read_cobra_network
from .cobra_source import read_cobra_file
from .model_json import decode_network, decode_state, encode_network, encode_state
from .state_builder import complete_state
from .state_draws import FLUX_SCALE, SMALLEST_FLUX
from .value_table import read_concentrations, read_values

FORMAT = 1
"""Raised when the builder changes, so that older files in the cache are not read."""
LARGEST_QUICK = 200
"""Variable species; eigenvalues of 400 take 0.1 s for each set of constants, of 50 less than 1 ms."""

logger = logging.getLogger(__name__)


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
        Species without a mass balance, besides protons and those that a boundary reaction exchanges.
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
        "smallest_flux": smallest_flux,
    }
    key = {**_versions(), "file": _digest(file), "fluxes": fluxes, **choices}
    model = _decode(read_entry("cobra_network", key))
    if model is None:
        model = read_cobra_network(file, fluxes=fluxes, **choices)
        write_entry("cobra_network", key, _encode(model))
    for reason, names in model.removed.items():
        logger.info("%s: %d reactions left out because %s: %s", file.name, len(names), reason, ", ".join(names))
    if len(model.network.variables) > LARGEST_QUICK:
        logger.warning(
            "%s: %d variable species, so that every set of constants takes tenths of a second; give lambda_part as a "
            "number, and name species that hardly change in constants.",
            file.name,
            len(model.network.variables),
        )
    if concentrations is not None:
        check_known(concentrations, model.species, f"{concentration_file}")
    carriers = {reaction.name for reaction in model.network.reactions}
    known: dict[str, Any] = {
        "fluxes": None if fluxes is None else {name: fluxes[name] for name in fluxes if name in carriers},
        "concentrations": {
            name: value for name, value in (concentrations or {}).items() if name in model.network.species_index
        },
        "directions": {**model.directions, **(directions or {})},
        "smallest_flux": smallest_flux,
        "flux_scale": flux_scale,
        "member": member,
    }
    state_key = {**key, **known}
    state = decode_state(model.network, read_entry("cobra_state", state_key))
    if state is None:
        state, _ = complete_state(model.network, reference=model.reference, source=file.name, **known)
        write_entry("cobra_state", state_key, encode_state(model.network, state))
    return model.network, state


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
