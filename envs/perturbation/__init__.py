"""Single-cell responses to perturbations: one episode moves one control cell towards the observed effect."""

from typing import TYPE_CHECKING

from ..lazy_attributes import lazy_attributes

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

__getattr__ = lazy_attributes(__name__, MODULES)
