"""Single-cell responses to perturbations: one episode moves one control cell towards the observed effect."""

from typing import TYPE_CHECKING, Any

from .data import PerturbationData
from .features import perturbation_features
from .generator import generate_synthetic
from .preprocessing import preprocess
from .readers import load_data
from .splits import split_data

if TYPE_CHECKING:
    from .environment import PerturbationVectorEnv

__all__ = [
    "PerturbationData",
    "PerturbationVectorEnv",
    "generate_synthetic",
    "load_data",
    "perturbation_features",
    "preprocess",
    "split_data",
]


def __getattr__(name: str) -> Any:
    """Import the environment, and with it Gymnasium, only when it is asked for."""
    if name == "PerturbationVectorEnv":
        from .environment import PerturbationVectorEnv

        return PerturbationVectorEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
