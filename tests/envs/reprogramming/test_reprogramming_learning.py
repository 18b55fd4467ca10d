"""What masked PPO learns of cells: never a masked action, and short ways on landscapes."""

import json

import numpy as np
import pytest

from bioppo.algorithms.masked_ppo.config import MaskedPPOConfig
from bioppo.algorithms.masked_ppo.learner import build_masked_ppo
from bioppo.cli.main import main
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv


class Watched(ReprogrammingVectorEnv):
    """An environment that counts steps, and those with an action that its masks forbid."""

    taken = forbidden = 0

    def advance(self, actions):
        allowed = self.action_masks()[np.arange(self.num_envs), actions]
        self.taken += self.num_envs
        self.forbidden += int((~allowed).sum())
        return super().advance(actions)


@pytest.mark.parametrize("policy", ["afterstate", "pca"])
def test_no_masked_action_is_ever_taken_in_training(golden_task, policy):
    environment = Watched(golden_task.config, num_envs=32, seed=0, task=golden_task)
    assert not environment._shown.all()
    config = MaskedPPOConfig(policy=policy, n_steps=16, batch_size=128, n_epochs=1)
    learner = build_masked_ppo(config, environment, seed=0, device="cpu")
    for update in range(4):
        learner.update(update / 4)
    assert environment.taken == 4 * 16 * 32
    assert environment.forbidden == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("env", "budget", "solved", "longest"),
    [("reprogramming_easy", 245_760, 0.98, 1.25), ("reprogramming", 491_520, 0.95, 1.5)],
)
def test_landscapes_are_learned_within_their_steps(tmp_path, env, budget, solved, longest, seed):
    words = [f"env={env}", "algo=masked_ppo", f"budget={budget}", f"seed={seed}", "display=off"]
    assert main(["train", *words, f"hydra.run.dir={tmp_path}"]) == 0
    scalars = json.loads((tmp_path / "result.json").read_text())
    assert scalars["last/success_solvable"] >= solved
    assert scalars["last/length_ratio"] <= longest
    assert scalars["last/success"] > scalars["greedy_no_revisit/success"]
