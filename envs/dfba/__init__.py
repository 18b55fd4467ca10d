"""Microbial communities by dynamic flux balance analysis: microbes in a reactor, each of which is a linear program."""

from typing import TYPE_CHECKING

from ..lazy_attributes import lazy_attributes

if TYPE_CHECKING:
    from .convergence import check_convergence
    from .environment import DynamicFBAVectorEnv
    from .parallel import DynamicFBAParallelEnv
    from .simulation import simulate

MODULES = {
    "DynamicFBAParallelEnv": "parallel",
    "DynamicFBAVectorEnv": "environment",
    "check_convergence": "convergence",
    "simulate": "simulation",
}

__all__ = ["DynamicFBAParallelEnv", "DynamicFBAVectorEnv", "check_convergence", "simulate"]

__getattr__ = lazy_attributes(__name__, MODULES)
