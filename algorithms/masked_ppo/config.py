"""Options of PPO with masks; the defaults are sb3-contrib's."""

from dataclasses import dataclass
from typing import Any

from ...configs.option import AlgorithmConfig, OptionError, check_sizes, option


@dataclass(kw_only=True)
class MaskedPPOConfig(AlgorithmConfig):
    """PPO that never draws excluded actions (Huang and Ontañón 2022, arXiv:2006.14171), as sb3-contrib has it."""

    _target_: str = option("bioppo.algorithms.masked_ppo.learner.build_masked_ppo", "dotted name of its builder")
    name: str = option("masked_ppo", "name of the algorithm in directories and tables")
    learning_rate: float = option(3e-4, "Adam's step size", above=0)
    schedule: str = option(
        "constant",
        "learning rate over the budget: constant, linear to zero, cosine to 1e-6, or late: linear to 1e-6 at its end",
        choices=("constant", "linear", "cosine", "late"),
    )
    schedule_start: float = option(0.6, "schedule=late: share of the budget after which it falls", minimum=0, below=1)
    policy: str = option("mlp", "network: mlp, or one that the environment has, such as afterstate in reprogramming")
    policy_options: dict[str, Any] = option({}, "options of such a network")
    optimizer: str = option("adam", "adam, or adamw with weight_decay", choices=("adam", "adamw"))
    weight_decay: float = option(0.0, "optimizer=adamw: decay of parameters", minimum=0)
    reward_scale: float = option(1.0, "factor on rewards, for training alone", above=0)
    warm_start: str = option("none", "bc: imitate the environment's planner before training", choices=("none", "bc"))
    warm_start_steps: int = option(1_000, "warm_start=bc: gradient steps", minimum=1)
    warm_start_batch: int = option(4_096, "warm_start=bc: observations per gradient step", minimum=1)
    decode: str = option(
        "plain",
        "plain, or no_revisit: in evaluations, avoid actions that lead where the episode has been",
        choices=("plain", "no_revisit"),
    )
    n_steps: int = option(2048, "steps of every copy per update", minimum=1)
    batch_size: int = option(64, "transitions per gradient step", minimum=2)
    n_epochs: int = option(10, "passes over the rollout per update", minimum=1)
    gamma: float = option(0.99, "discount factor", above=0, maximum=1)
    gae_lambda: float = option(0.95, "decay of generalised advantage estimation", minimum=0, maximum=1)
    clip_range: float = option(0.2, "the probability ratio is clipped to 1 +- this", above=0)
    normalize_advantage: bool = option(True, "standardise the advantages of every minibatch")
    ent_coef: float = option(0.0, "weight of the entropy bonus", minimum=0)
    vf_coef: float = option(0.5, "weight of the value loss", minimum=0)
    max_grad_norm: float = option(0.5, "gradients are scaled down to this norm", above=0)
    target_kl: float | None = option(None, "end an update when the KL divergence exceeds 1.5 times this", above=0)
    hidden_sizes: list[int] = option(
        [64, 64], "units of each hidden layer, for policy and value function alike; []: both are linear"
    )
    activation: str = option("tanh", "activation of hidden layers", choices=("tanh", "relu", "elu", "gelu"))
    zero_last_layer: bool = option(False, "begin with all allowed actions equally probable")
    normalize_observation: bool = option(False, "standardise observations by running moments")
    normalize_reward: bool = option(False, "scale rewards by the running deviation of returns")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("hidden_sizes", self.hidden_sizes)
        if self.weight_decay and self.optimizer != "adamw":
            raise OptionError(f"weight_decay={self.weight_decay}: adam has none, so set optimizer=adamw.")
        if self.warm_start == "bc" and self.normalize_observation:
            raise OptionError(
                "warm_start=bc: what observations are standardised by is not known before training, so set "
                "normalize_observation=false."
            )
