"""Learn from a planner before learning from rewards."""

from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO

from ...envs.batched import BatchedEnv
from .config import MaskedPPOConfig


def imitate(model: MaskablePPO, environment: BatchedEnv, config: MaskedPPOConfig, *, seed: int) -> float:
    """Raise the probability of best actions, whichever of them: minimise ``-log sum over best a of pi(a | s)``.

    Values are not touched. Returns the loss of the last gradient step; Adam's moments start anew afterwards.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(16,)))
    policy: Any = model.policy
    policy.set_training_mode(True)
    last = float("nan")
    for _ in range(config.warm_start_steps):
        shown = environment.demonstrate(config.warm_start_batch, generator)
        observations, _ = policy.obs_to_tensor(shown.observations)
        logits = policy.get_distribution(observations, action_masks=shown.masks).distribution.logits
        best = torch.as_tensor(shown.best, device=logits.device)
        loss = -torch.logsumexp(logits.masked_fill(~best, -torch.inf), dim=1).mean()
        policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(policy.parameters(), model.max_grad_norm)
        policy.optimizer.step()
        last = loss.item()
    policy.optimizer.state.clear()
    return last
