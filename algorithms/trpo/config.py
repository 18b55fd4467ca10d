"""Options of TRPO; the defaults are sb3-contrib's."""

from dataclasses import dataclass

from ...configs.option import AlgorithmConfig, OptionError, option


@dataclass(kw_only=True)
class TRPOConfig(AlgorithmConfig):
    """Trust-region policy optimisation (Schulman et al. 2015), as implemented in sb3-contrib."""

    _target_: str = option("bioppo.algorithms.trpo.learner.build_trpo", "dotted name of its builder")
    name: str = option("trpo", "name of the algorithm in directories and tables")
    learning_rate: float = option(1e-3, "Adam's step size for the value function", above=0)
    schedule: str = option(
        "constant",
        "learning rate over the budget: constant, linear to zero, or cosine to 1e-6",
        choices=("constant", "linear", "cosine"),
    )
    n_steps: int = option(2048, "steps of every copy per update", minimum=1)
    batch_size: int = option(128, "transitions per gradient step of the value function", minimum=2)
    n_critic_updates: int = option(10, "passes of the value function over the rollout per update", minimum=1)
    gamma: float = option(0.99, "discount factor", above=0, maximum=1)
    gae_lambda: float = option(0.95, "decay of generalised advantage estimation", minimum=0, maximum=1)
    target_kl: float = option(0.01, "largest KL divergence between the policies before and after an update", above=0)
    cg_max_steps: int = option(15, "steps of the conjugate gradient that finds the direction", minimum=1)
    cg_damping: float = option(0.1, "multiple of the identity added to the Fisher matrix", minimum=0)
    line_search_shrinking_factor: float = option(0.8, "a refused step is shortened by this", above=0, below=1)
    line_search_max_iter: int = option(10, "attempts before the policy is left as it was", minimum=1)
    normalize_advantage: bool = option(True, "standardise the advantages of a rollout")
    hidden_sizes: list[int] = option([64, 64], "units of each hidden layer, for policy and value function alike")
    activation: str = option("tanh", "activation of hidden layers", choices=("tanh", "relu", "elu", "gelu"))
    log_std_init: float = option(0.0, "initial logarithm of the standard deviation of continuous actions")
    zero_last_layer: bool = option(False, "begin with mean actions of zero whatever is observed")
    normalize_observation: bool = option(False, "standardise observations by running moments")
    normalize_reward: bool = option(False, "scale rewards by the running deviation of returns")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes or any(size < 1 for size in self.hidden_sizes):
            raise OptionError(f"hidden_sizes={list(self.hidden_sizes)}: give at least one positive number of units.")
