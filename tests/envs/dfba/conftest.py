"""Reference trajectories: made with SPAM-DFBA 1.0.0, and with a closed form of the conserving step."""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "data" / "dfba"
MODELS = {
    "e_coli_core": {"model": "bundled:textbook"},
    "iJO1366:PPND": {"model": "bundled:iJO1366", "edits": {"remove": ["PPND"]}},
    "iJO1366:PPNDH": {"model": "bundled:iJO1366", "edits": {"remove": ["PPNDH"]}},
}


@cache
def contents(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def trajectory(name):
    return np.load(FOLDER / f"{name}.npz", allow_pickle=False)


def case_of(name, **changes):
    """Return a case of ``cases.json`` as a case file writes it."""
    config = contents("cases")[name]["config"]
    species = [one for one in config["species"] if one not in [agent["name"] for agent in config["agents"]]]
    case = {
        "dt_h": config["dt"],
        "horizon_steps": config["T"],
        "reactor": {"kind": "chemostat", "dilution_per_h": config["D"], "inlet": config["inlet"]},
        "initial": config["initial"],
        "constant": config["constant"],
        "species": species,
        "agents": {
            agent["name"]: {
                **MODELS.get(agent["model"], {"model": agent["model"]}),
                "actions": [{"reaction": reaction, "kind": "signed", "low": 0} for reaction in agent["actions"]],
                "observables": agent["observables"],
            }
            for agent in config["agents"]
        },
        "extracellular": [
            {
                "stoichiometry": reaction["stoich"],
                "law": reaction["law"],
                **dict(
                    zip(
                        ("substrate", "enzyme") if reaction["law"] != "mass_transfer" else ("source", "sink"),
                        reaction["args"],
                        strict=True,
                    )
                ),
                **reaction["params"],
            }
            for reaction in config["extracellular"]
        ],
        "grows_at_start": False,
    }
    return case | changes


@pytest.fixture(scope="session")
def golden():
    return SimpleNamespace(contents=contents, trajectory=trajectory, case_of=case_of)
