"""Reprogramming cells: sequences of knock-outs and overexpressions on measured cells, with the optimum known."""

from typing import TYPE_CHECKING

from ..lazy_attributes import lazy_attributes

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

__getattr__ = lazy_attributes(__name__, MODULES)
