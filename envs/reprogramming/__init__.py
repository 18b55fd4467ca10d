"""Reprogramming cells: sequences of knock-outs and overexpressions on measured cells, with the optimum known."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import Actions, Cells, Goals, Grn, Prepared, Table
    from .environment import ReprogrammingVectorEnv
    from .table import load_table
    from .task import ReprogrammingTask, load_task

__all__ = [
    "Actions",
    "Cells",
    "Goals",
    "Grn",
    "Prepared",
    "ReprogrammingTask",
    "ReprogrammingVectorEnv",
    "Table",
    "load_table",
    "load_task",
]

MODULES = {
    "Actions": "data",
    "Cells": "data",
    "Goals": "data",
    "Grn": "data",
    "Prepared": "data",
    "ReprogrammingTask": "task",
    "ReprogrammingVectorEnv": "environment",
    "Table": "data",
    "load_table": "table",
    "load_task": "task",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for and no more: composing a config reads options that lie beside these modules."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{MODULES[name]}", __name__), name)
