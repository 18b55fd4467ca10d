"""The semantics `spam` repeats SPAM-DFBA 1.0.0, step by step, from its recorded trajectories."""

import numpy as np
import pytest

from bioppo.envs.dfba.case import load_case
from bioppo.envs.dfba.community import Community, StepOptions
from bioppo.envs.dfba.repairs import OPTIMAL

WITHOUT_TIES = [
    "starch_single", "starch_two", "starch_five", "starch_five_mass_transfer", "necom_facultative", "necom_no_overlap",
    "necom_no_overlap_dilution", "overshoot", "constant_species", "carry_over",
]  # fmt: skip


def community_of(case, **options):
    options = {"semantics": "spam", "infeasible": ("freeze",), "tie_break": "vertex", **options}
    return Community(load_case(case), StepOptions(**options))


def joint_actions(record, agents):
    return np.concatenate([record[f"actions_{agent}"] for agent in agents], axis=1)


def difference(states, expected):
    return (np.abs(states - expected) / np.maximum(1, np.abs(expected))).max()


@pytest.mark.parametrize("name", WITHOUT_TIES)
def test_whole_trajectories(golden, name):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(name))
    assert list(record["species"]) == list(community.case.names)
    actions = joint_actions(record, record["agents"])
    state = community.new_state(3)
    state["concentration"][:] = record["states"][0]
    for step, action in enumerate(actions):
        result = community.step(state, np.repeat(action[None], 3, axis=0))
        assert np.array_equal(result.status != OPTIMAL, np.repeat(record["infeasible"][step][None], 3, axis=0))
        assert difference(state["concentration"], record["states"][step + 1]) < 1e-9
        assert difference(result.spam_reward, record["rewards"][step]) < 1e-9
    assert community.mass_residual(state).max() < 1e-9
