"""Choose network, steady states and starting sets as the environment's options say."""

from collections.abc import Sequence

from ..config import KineticConfig
from ..errors import KineticInputError
from ..network import FloatArray, Network
from ..steady_state import SteadyState
from .e_coli_core import load_e_coli_core


def load_states(config: KineticConfig, rows: Sequence[int | str]) -> tuple[Network, list[SteadyState]]:
    """Return the network and the named steady states.

    Raises
    ------
    KineticInputError
        With the file, the key, the value and the remedy.
    """
    loaded = [load_e_coli_core(member_number(row)) for row in rows]
    return loaded[0][0], [state for _, state in loaded]


def member_number(row: int | str) -> int:
    """Return a member of a computed ensemble, which has numbers only."""
    if isinstance(row, str):
        raise KineticInputError(f"member={row}: a computed ensemble has numbers, not names; give one from 0 on.")
    return row


def load_starts(config: KineticConfig, network: Network) -> FloatArray | None:
    """Return ln K of the sets that episodes start from, ``(n, n_parameters)``, where the options name some."""
    return None


def parameter_order(config: KineticConfig, network: Network) -> Sequence[str] | None:
    """Return the names of the constants in the order that the options ask for; None: as in the file."""
    return None
