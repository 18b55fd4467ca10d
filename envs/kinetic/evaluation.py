"""What is measured in the kinetic environment, for policies and solvers alike, and of a training as a whole."""

from collections import deque

import numpy as np

from ..batched import Metric, State
from ..evaluation import Evaluation, Trajectories
from .diversity import count_clusters, mean_distance
from .network import BoolArray, FloatArray, IntArray

METRICS = (
    Metric("incidence", "higher", "share of single-shot sets (the last of each episode) that are valid"),
    Metric("first_hit", "higher", "share of episodes with at least one valid set"),
    Metric("stable", "higher", "share of single-shot sets with lambda_max < 0"),
    Metric("lambda_max", "lower", "median largest eigenvalue of single-shot sets, 1/h"),
    Metric("lambda_best", "lower", "median over episodes of the least lambda_max within one, 1/h"),
    Metric("time_constant", "lower", "median of 60 / |lambda_max| over single-shot sets, minutes; 1440 if unstable"),
    Metric("diversity", "higher", "mean root-mean-square distance in ln K between valid single-shot sets"),
    Metric("clusters", "higher", "clusters of valid single-shot sets, cut where a factor of e separates them"),
    Metric("calls_to_first_valid", "lower", "sets tried per episode that hits, one episode after another"),
)
ROBUSTNESS = Metric("robustness", "higher", "share of starts displaced by 25 % from which valid sets return")
LAST_EPISODES = 10
EPISODE_COLUMNS = (
    Metric("training_lambda_mean", "lower", "mean lambda_max over an episode's steps, 1/h"),
    Metric("training_lambda_last", "lower", "lambda_max at an episode's last step, 1/h"),
    Metric("training_lambda_best", "lower", "least lambda_max of an episode, 1/h"),
    Metric("training_lambda_median", "lower", "median lambda_max of an episode, 1/h"),
    Metric("training_reward_mean", "higher", "mean reward of an episode's steps"),
    Metric("training_reward_max", "higher", "largest reward of an episode"),
)
"""Means over the last ten training episodes, as the poster's Table 1 has them."""
RUN_METRICS = (
    *EPISODE_COLUMNS,
    Metric("training_first_valid", "lower", "simulator calls up to the first valid set of training"),
)
LONGEST_TIME_CONSTANT = 1440.0


def measure(trajectories: Trajectories, *, compared: IntArray) -> Evaluation:
    """Turn evaluated sets into scalars.

    *Single-shot* means the last set of each episode, so that a policy is judged by what it hands over and a solver by
    one answer. ``first_hit`` asks whether any set of the episode was valid: for independent draws of incidence q over
    T answers it tends to ``1 - (1 - q)^T``, which is why the two are never compared with each other.

    Parameters
    ----------
    trajectories
        With ``lambda_max``, ``valid``, ``stable``, ``invalid_eigen``, ``member`` and ``ln_km`` of every step.
    compared
        Positions of the constants over which sets are compared: those that matter.
    """
    import pandas as pd

    info = trajectories.info
    steps = pd.DataFrame(
        {
            "episode": trajectories.episode,
            "step": trajectories.step,
            "member": info["member"],
            "lambda_max": info["lambda_max"],
            "valid": info["valid"],
            "stable": info["stable"],
        }
    ).sort_values(["episode", "step"])
    grouped = steps.groupby("episode", sort=True)
    last = steps.loc[~steps.duplicated("episode", keep="last")].set_index("episode")
    hits = steps[steps["valid"]].groupby("episode")["step"].min()
    episodes = pd.DataFrame(
        {
            "length": last["step"],
            "member": last["member"],
            "lambda_max": last["lambda_max"],
            "valid": last["valid"],
            "stable": last["stable"],
            "first_hit": grouped["valid"].any(),
            "first_hit_step": hits.reindex(last.index).fillna(0).astype(int),
            "lambda_best": grouped["lambda_max"].min(),
        }
    )
    single_shot = steps.index[~steps.duplicated("episode", keep="last")]
    valid = single_shot[info["valid"][single_shot]]
    scalars = {
        "incidence": float(episodes["valid"].mean()),
        "first_hit": float(episodes["first_hit"].mean()),
        "stable": float(episodes["stable"].mean()),
        "lambda_max": finite_median(episodes["lambda_max"].to_numpy()),
        "lambda_best": finite_median(episodes["lambda_best"].to_numpy()),
        "time_constant": float(np.median(time_constants(episodes["lambda_max"].to_numpy()))),
        **describe_diversity(info["ln_km"][valid][:, compared], info["member"][valid]),
        "calls_to_first_valid": calls_per_hit(episodes["length"].to_numpy(), episodes["first_hit_step"].to_numpy()),
        "invalid_eigen": float(np.mean(info["invalid_eigen"])),
    }
    return Evaluation(scalars, episodes.reset_index(), {"sets": steps.reset_index(drop=True)})


def describe_diversity(valid_sets: FloatArray, member: IntArray) -> dict[str, float]:
    """Return how far apart valid sets ``(n, P)`` of the same steady state are, and how many clusters they form."""
    return {"diversity": mean_distance(valid_sets, member), "clusters": float(count_clusters(valid_sets, member))}


def time_constants(lambda_max: FloatArray) -> FloatArray:
    """Return ``60 / |lambda_max|``, minutes, at most a day; sets that are not stable never return: a day."""
    constants: FloatArray = np.minimum(60.0 / np.maximum(-lambda_max, 1e-300), LONGEST_TIME_CONSTANT)
    return constants


def calls_per_hit(length: IntArray, first_hit_step: IntArray) -> float:
    """Return sets tried until a first hit, when every episode is left at its hit and missed ones are played out.

    Without any hit it is the number of all sets tried, a lower bound.
    """
    tried = np.where(first_hit_step > 0, first_hit_step, length)
    return float(tried.sum() / max(int((first_hit_step > 0).sum()), 1))


def finite_median(values: FloatArray) -> float:
    """Return the median with failed eigenvalues counted as the largest finite number."""
    return float(np.median(np.minimum(values, np.finfo(np.float64).max)))


class TrainingRecord:
    """What the last ten training episodes were like, and when the first valid set was seen."""

    def __init__(self) -> None:
        self.episodes: deque[list[float]] = deque(maxlen=LAST_EPISODES)
        self.first_valid = 0

    def see(self, valid: BoolArray, calls_before: int) -> None:
        """Note the first valid set; ``calls_before`` counts the simulator calls before these sets."""
        if not self.first_valid and valid.any():
            self.first_valid = calls_before + int(valid.argmax()) + 1

    def end_episode(self, lambda_max: FloatArray, reward_mean: float, reward_max: float) -> None:
        """Keep an episode's summary; eigenvalues that failed are left out of the mean."""
        finite = lambda_max[np.isfinite(lambda_max)]
        largest = float(np.finfo(np.float64).max)
        values = [
            finite.mean() if len(finite) else largest,
            lambda_max[-1],
            lambda_max.min(),
            finite_median(lambda_max),
        ]
        self.episodes.append([*(min(float(value), largest) for value in values), float(reward_mean), float(reward_max)])

    def scalars(self) -> dict[str, float | None]:
        """Return the means by name; None for a first valid set that was never seen."""
        means = np.array(self.episodes).mean(axis=0).tolist() if self.episodes else []
        names = [metric.name for metric in EPISODE_COLUMNS]
        return dict(zip(names, means, strict=False)) | {"training_first_valid": self.first_valid or None}

    def get_state(self) -> State:
        """Return everything, to continue exactly."""
        return {"episodes": np.array(self.episodes), "first_valid": self.first_valid}

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.episodes = deque(np.asarray(state["episodes"]).tolist(), maxlen=LAST_EPISODES)
        self.first_valid = int(state["first_valid"])
