"""Microbial communities by dynamic flux balance analysis: microbes in a reactor, each of which is a linear program."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .convergence import check_convergence
    from .environment import DynamicFBAVectorEnv
    from .parallel import DynamicFBAParallelEnv
    from .simulation import simulate

PLACES = {
    "DynamicFBAParallelEnv": "parallel",
    "DynamicFBAVectorEnv": "environment",
    "check_convergence": "convergence",
    "simulate": "simulation",
}

__all__ = ["DynamicFBAParallelEnv", "DynamicFBAVectorEnv", "check_convergence", "simulate"]


def __getattr__(name: str) -> Any:
    """Import what needs linear programs only when it is asked for."""
    if name in PLACES:
        return getattr(import_module(f".{PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
