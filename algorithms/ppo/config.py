"""Options of PPO; the defaults are stable-baselines3's."""

import math
from dataclasses import dataclass

from ...configs.option import AlgorithmConfig, OptionError, check_sizes, option


@dataclass(kw_only=True)
class PPOConfig(AlgorithmConfig):
    """Proximal policy optimisation (Schulman et al. 2017), as implemented in stable-baselines3."""

    _target_: str = option("bioppo.algorithms.ppo.learner.build_ppo", "dotted name of its builder")
    name: str = option("ppo", "name of the algorithm in directories and tables")
    optimizer: str = option("adam", "adam, or adamw with torch's weight decay of 0.01", choices=("adam", "adamw"))
    learning_rate: float = option(3e-4, "the optimizer's step size", above=0)
    critic_learning_rate: float | None = option(
        None, "step size of the value function; null: learning_rate; the schedule scales both alike", above=0
    )
    schedule: str = option(
        "constant",
        "learning rate over the budget: constant, linear to zero, or cosine to 1e-6",
        choices=("constant", "linear", "cosine"),
    )
    n_steps: int = option(2048, "steps of every copy per update", minimum=1)
    batch_size: int = option(64, "transitions per gradient step", minimum=2)
    n_epochs: int = option(10, "passes over the rollout per update", minimum=1)
    gamma: float = option(0.99, "discount factor", above=0, maximum=1)
    gae_lambda: float = option(0.95, "decay of generalised advantage estimation", minimum=0, maximum=1)
    bootstrap_truncated: bool = option(
        True, "add the value of the last observation where time ran out; with false and gae_lambda=1, A = G - V"
    )
    clip_range: float = option(0.2, "the probability ratio is clipped to 1 +- this", above=0)
    clip_range_end: float | None = option(
        None, "clip_range at the end of the budget, reached linearly; null: constant", above=0
    )
    normalize_advantage: bool = option(True, "standardise the advantages of every minibatch")
    advantage_limit: float | None = option(
        None, "advantages, standardised or not, are clipped to +- this; null: not at all", above=0
    )
    ent_coef: float = option(0.0, "weight of the entropy bonus", minimum=0)
    vf_coef: float = option(0.5, "weight of the value loss", minimum=0)
    max_grad_norm: float = option(0.5, "gradients are scaled down to this norm", above=0)
    target_kl: float | None = option(None, "end an update when the KL divergence exceeds 1.5 times this", above=0)
    hidden_sizes: list[int] = option(
        [64, 64], "units of each hidden layer, for policy and value function alike; []: both are linear"
    )
    activation: str = option("tanh", "activation of hidden layers", choices=("tanh", "relu", "elu", "gelu"))
    layer_norm: str = option(
        "none",
        "layer normalisation: none, before the activation of hidden layers, or in all: of mean and log-std too",
        choices=("none", "hidden", "all"),
    )
    mask_in_policy: bool = option(
        False, "never draw discrete actions that the `action_mask` of a dictionary observation excludes"
    )
    log_std_init: float = option(0.0, "initial logarithm of the standard deviation of continuous actions")
    log_std_bounds: list[float] | None = option(None, "that logarithm is clamped to [low, high]; null: free")
    state_dependent_std: bool = option(False, "compute that logarithm from the observation, by a head beside the mean")
    zero_last_layer: bool = option(False, "begin with mean actions of zero whatever is observed")
    normalize_observation: bool = option(False, "standardise observations by running moments")
    normalize_reward: bool = option(False, "scale rewards by the running deviation of returns")
    standardize_reward: bool = option(False, "standardise the rewards of every trajectory in the rollout")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("hidden_sizes", self.hidden_sizes)
        self._check_log_std()
        if self.mask_in_policy and self.normalize_observation:
            raise OptionError(
                "mask_in_policy=true: a standardised mask says nothing any more, so set normalize_observation=false."
            )
        if self.standardize_reward and self.bootstrap_truncated:
            raise OptionError(
                "standardize_reward=true: a bootstrapped value would be standardised with the rewards, so set "
                "bootstrap_truncated=false too."
            )

    def _check_log_std(self) -> None:
        bounds = self.log_std_bounds
        if bounds is None:
            return
        if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[1]:
            raise OptionError(f"log_std_bounds={list(bounds)}: give two finite numbers, the lower one first.")
        if not bounds[0] <= self.log_std_init <= bounds[1]:
            raise OptionError(
                f"log_std_init={self.log_std_init:g}: outside log_std_bounds={list(bounds)} it would never be learned, "
                "so begin within them."
            )
