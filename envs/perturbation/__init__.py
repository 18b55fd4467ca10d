"""Single-cell responses to perturbations: one episode moves one control cell towards the observed effect."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import PerturbationData
    from .environment import PerturbationVectorEnv
    from .features import perturbation_features
    from .preprocessing import preprocess
    from .sources.generator import generate_synthetic
    from .sources.readers import load_data
    from .splits import split_data

__all__ = [
    "PerturbationData",
    "PerturbationVectorEnv",
    "generate_synthetic",
    "load_data",
    "perturbation_features",
    "preprocess",
    "split_data",
]

MODULES = {
    "PerturbationData": "data",
    "PerturbationVectorEnv": "environment",
    "perturbation_features": "features",
    "generate_synthetic": "sources.generator",
    "preprocess": "preprocessing",
    "load_data": "sources.readers",
    "split_data": "splits",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for and no more: composing a config reads options that lie beside these modules."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{MODULES[name]}", __name__), name)
