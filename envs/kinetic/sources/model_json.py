"""Networks and steady states as JSON values, for files that are read back exactly."""

import dataclasses
from typing import Any

import numpy as np

from ..errors import KineticInputError
from ..network import Modifier, ModifierKind, Network, RateLaw, Reaction, Slot
from ..steady_state import SteadyState, check_steady_state


def encode_network(network: Network) -> dict[str, Any]:
    """Return the network as mappings and lists."""
    return dataclasses.asdict(network)


def decode_network(content: Any) -> Network | None:
    """Return the network, or None where the content is not one."""
    try:
        return Network(
            variables=tuple(content["variables"]),
            constants=tuple(content["constants"]),
            reactions=tuple(_decode_reaction(entry) for entry in content["reactions"]),
            volume_ratios=tuple(content["volume_ratios"]),
        )
    except (KeyError, TypeError, ValueError, KineticInputError):
        return None


def encode_state(network: Network, state: SteadyState) -> dict[str, Any]:
    """Return the state as mappings and lists; displacements of reversible reactions only, the others have none."""
    return {
        "flux": state.flux.tolist(),
        "ln_displacement": state.ln_displacement[network.reversible].tolist(),
        "concentration": state.concentration.tolist(),
        "provenance": state.provenance,
    }


def decode_state(network: Network, content: Any) -> SteadyState | None:
    """Return the state, or None where the content is no steady state of the network."""
    try:
        displacement = np.full(len(network.reactions), -np.inf)
        displacement[network.reversible] = content["ln_displacement"]
        state = SteadyState(content["flux"], displacement, content["concentration"], str(content["provenance"]))
        check_steady_state(network, state)
    except (KeyError, TypeError, ValueError, KineticInputError):
        return None
    return state


def _decode_reaction(entry: Any) -> Reaction:
    return Reaction(
        name=entry["name"],
        law=RateLaw(entry["law"]),
        slots=tuple(Slot(**slot) for slot in entry["slots"]),
        modifiers=tuple(Modifier(**{**item, "kind": ModifierKind(item["kind"])}) for item in entry["modifiers"]),
    )
