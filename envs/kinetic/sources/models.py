"""Choose network, steady states and starting sets as the environment's options say."""

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from ....datasets.download import find
from ..config import KineticConfig
from ..disk_cache import read_entry, write_entry
from ..errors import KineticInputError
from ..network import FloatArray, Network
from ..populations import read_population
from ..steady_state import SteadyState
from .cobra_model import load_cobra_model
from .e_coli_core import load_e_coli_core
from .known_values import read_known_values
from .maximal_rates import compare_maximal_rates, warn_of_outliers
from .model_json import decode_state, encode_network, encode_state
from .skimpy_yaml import SkimpyModel, read_skimpy_model, renaissance_order
from .state_builder import complete_state
from .state_draws import FLUX_SCALE
from .state_table import read_computed_state, read_states

PUBLISHED = {
    "renaissance384": ("kinetic_renaissance", "kin_varma_curated.yaml", None),
    "varma": ("kinetic_varma", "varma_strain_1.yml", "tfa_reference_strains.csv"),
}
"""Data set, model file and table of states of published models; None: the computed state of this package."""
VARMA_UNIT = "uM"
FORMAT = 1
"""Raised when completed states change, so that older ones in the cache are not read."""
COMPUTED_STATE = Path(__file__).parent / "renaissance384_state.json"


def load_states(config: KineticConfig, rows: Sequence[int | str]) -> tuple[Network, list[SteadyState]]:
    """Return the network and the named steady states.

    Raises
    ------
    KineticInputError
        With the file, the key, the value and the remedy.
    """
    match config.model:
        case "e_coli_core":
            loaded = [_load_e_coli_core(config, _number(row)) for row in rows]
        case "cobra":
            loaded = [_load_cobra(config, _number(row)) for row in rows]
        case _:
            model = load_skimpy(config)
            return model.network, _skimpy_states(config, model, rows)
    return loaded[0][0], [state for _, state in loaded]


def load_starts(config: KineticConfig, network: Network) -> FloatArray | None:
    """Return ln K of the sets that episodes start from, ``(n, n_parameters)``; None unless ``start=file``."""
    if config.start != "file":
        return None
    if config.start_file is not None:
        return read_population(config.start_file).arranged(network.parameter_names)
    if config.model in ("e_coli_core", "cobra"):
        raise KineticInputError(
            f"start=file: model={config.model} stores no Michaelis constants; give start_file, or another start."
        )
    return load_skimpy(config).require_ln_km()[None]


def parameter_order(config: KineticConfig, network: Network) -> Sequence[str] | None:
    """Return the names of the constants in the order that the options ask for; None: as in the file."""
    return renaissance_order(network) if config.order == "renaissance" else None


def load_skimpy(config: KineticConfig) -> SkimpyModel:
    """Read the SKiMpy file of the options: the given one, or the published one if it was downloaded."""
    unit = VARMA_UNIT if config.model == "varma" and config.concentration_unit is None else config.concentration_unit
    if config.model_file is not None:
        return read_skimpy_model(config.model_file, concentration_unit=unit)
    if config.model not in PUBLISHED:
        raise KineticInputError(f"model={config.model} needs model_file: give the path of a SKiMpy YAML file.")
    data_set, file, _ = PUBLISHED[config.model]
    return read_skimpy_model(find(data_set) / file, concentration_unit=unit)


def _skimpy_states(config: KineticConfig, model: SkimpyModel, rows: Sequence[int | str]) -> list[SteadyState]:
    file = _state_file(config)
    if file.suffix == ".json":
        if config.complete:
            raise KineticInputError(f"complete=true: {file} holds a whole state; give a table of states (CSV).")
        state = read_computed_state(file, model.network)
        # Other files of this kind have a flux scale of their own, since their fluxes are in mol/L/h.
        state = _scaled(state, config.flux_scale) if file == COMPUTED_STATE else state
        return [state] * len(_only_the_first(file, rows))
    if config.complete:
        return [_completed(config, model, file, row) for row in rows]
    states = read_states(file, model.network, rows=rows, flux_scale=config.flux_scale)
    if model.vmax and model.ln_km is not None and model.concentration_unit is not None:
        for state in states:
            comparison = compare_maximal_rates(
                model.network, state, model.ln_km, model.vmax, concentration_unit=model.concentration_unit
            )
            warn_of_outliers(comparison, model=str(model.path), state=state.provenance)
    return states


def _state_file(config: KineticConfig) -> Path:
    if config.state_file is not None:
        return Path(config.state_file)
    if config.model not in PUBLISHED:
        raise KineticInputError(f"model={config.model} needs state_file: give a table of steady states (CSV).")
    data_set, _, table = PUBLISHED[config.model]
    return COMPUTED_STATE if table is None else find(data_set) / table


def _completed(config: KineticConfig, model: SkimpyModel, file: Path, row: int | str) -> SteadyState:
    """Return a row's state with what it lacks computed, from the cache or in some seconds."""
    known = read_known_values(file, model.network, row=row)
    source = f"{file} row {row}"
    key = {
        "format": FORMAT,
        **{name: version(name) for name in ("numpy", "scipy")},
        "network": encode_network(model.network),
        **dataclasses.asdict(known),
        "directions": dict(config.directions),
        "smallest_flux": config.smallest_flux,
        "flux_scale": config.flux_scale,
        "source": source,
    }
    state = decode_state(model.network, read_entry("completed_state", key))
    if state is None:
        state, _ = complete_state(
            model.network,
            fluxes=known.flux,
            concentrations=known.concentration,
            free_energies=known.free_energy,
            directions=config.directions,
            smallest_flux=config.smallest_flux,
            flux_scale=config.flux_scale,
            source=source,
        )
        write_entry("completed_state", key, encode_state(model.network, state))
    return state


def _only_the_first(file: Path, rows: Sequence[int | str]) -> Sequence[int | str]:
    """Refuse any other state of a file that holds one."""
    for row in rows:
        if row != 0:
            raise KineticInputError(f"member={row}: {file} holds one steady state; give 0, or a table of states (CSV).")
    return rows


def _load_e_coli_core(config: KineticConfig, member: int) -> tuple[Network, SteadyState]:
    network, state = load_e_coli_core(member)
    return network, _scaled(state, config.flux_scale)


def _scaled(state: SteadyState, flux_scale: float) -> SteadyState:
    """Return a state that was computed with the default flux scale at another one."""
    if flux_scale == FLUX_SCALE:
        return state
    provenance = f"{state.provenance} with flux_scale={flux_scale:g}"
    return dataclasses.replace(state, flux=state.flux * (flux_scale / FLUX_SCALE), provenance=provenance)


def _load_cobra(config: KineticConfig, member: int) -> tuple[Network, SteadyState]:
    if config.model_file is None:
        raise KineticInputError("model=cobra needs model_file: give the path of an SBML or JSON file.")
    return load_cobra_model(
        config.model_file,
        member=member,
        flux_file=config.flux_file,
        concentration_file=config.concentration_file,
        concentration_unit=config.concentration_unit,
        constants=config.constants,
        left_out=config.left_out,
        irreversible=config.irreversible,
        directions=config.directions,
        resting=config.resting,
        smallest_flux=config.smallest_flux,
        flux_scale=config.flux_scale,
    )


def _number(row: int | str) -> int:
    """Return a member of a computed ensemble, which has numbers only."""
    if isinstance(row, str):
        raise KineticInputError(f"member={row}: a computed ensemble has numbers, not names; give one from 0 on.")
    return row
