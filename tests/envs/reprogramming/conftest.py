"""The golden transition table and the task on it, for all tests of reprogramming."""

import json
from pathlib import Path

import numpy as np
import pytest

from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TEST, TRAIN, VALIDATION, Actions, Table
from bioppo.envs.reprogramming.options import TaskOptions
from bioppo.envs.reprogramming.task import ReprogrammingTask

GOLDEN = Path(__file__).parents[2] / "data" / "reprogramming"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The folder with the golden values."""
    return GOLDEN


@pytest.fixture(scope="session")
def golden_table() -> Table:
    """120 cells of 3 types, 10 genes to knock out and then to overexpress, with gain 1.5; features are 64-bit."""
    meta = json.loads((GOLDEN / "meta.json").read_text())
    task, inputs = np.load(GOLDEN / "table_task.npz"), np.load(GOLDEN / "simulation_inputs.npz")
    tfs = np.array(meta["tfs"])
    features = (inputs["imputed"] - task["scaler_mean"]) / task["scaler_scale"]
    split = np.full(len(features), TRAIN, dtype=np.int8)
    split[task["val"]], split[task["test"]] = VALIDATION, TEST
    centred = features - features[split == TRAIN].mean(axis=0)
    axes = np.linalg.svd(centred[split == TRAIN], full_matrices=False)[2][:20]
    values = dict(zip(tfs.tolist(), inputs["oe_from_lognorm"].tolist(), strict=True))
    conditions = [{gene: 0.0} for gene in values] + [{gene: value} for gene, value in values.items()]
    return Table(
        next=task["table_gain1p5"],
        shift=task["shift"].astype(np.float32),
        actions=Actions(
            names=np.array([f"{kind} {gene}" for kind in ("KO", "OE") for gene in tfs]),
            conditions=tuple(conditions),
            activates=np.repeat([False, True], len(tfs)),
        ),
        genes=tfs,
        tfs=tfs,
        clusters=np.array(meta["clusters"]),
        cluster_of_cell=inputs["cluster"].astype(np.int32),
        embedding=inputs["embedding"],
        cells=np.array(meta["cells"]),
        features=features,
        pcs=centred @ axes.T,
        split=split,
        meta={"gain": 1.5},
    )


@pytest.fixture(scope="session")
def golden_task(golden_table: Table) -> ReprogrammingTask:
    """The task on that table, with the discount of the golden episodes."""
    return ReprogrammingTask(golden_table, ReprogrammingConfig(task=TaskOptions(gamma=0.9831)))
