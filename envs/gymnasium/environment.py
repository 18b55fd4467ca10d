"""Plain Gymnasium environments, advanced one after the other, with the contract of a batched one."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from ... import UserError
from ..batched import Arrays, BatchedEnv, State, Transition
from .config import GymnasiumConfig

Factory = Callable[[], gymnasium.Env[Any, Any]]

ACTIONS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
OBSERVATIONS = (*ACTIONS, spaces.Dict)


def make_gymnasium(config: GymnasiumConfig, *, num_envs: int, seed: int, split: str = "train") -> "GymnasiumVectorEnv":
    """Build a batch of the environment that Gymnasium knows as ``config.id``."""
    keywords = {"disable_env_checker": True, **config.kwargs}
    factory = partial(gymnasium.make, config.id, **keywords)
    try:
        factory().close()
    except Exception as error:  # whatever an environment raises when it is made
        raise UserError(
            f"env.id={config.id} cannot be made ({type(error).__name__}: {error}): check env.id and env.kwargs, and "
            "install what the environment needs."
        ) from error
    return GymnasiumVectorEnv(factory, num_envs=num_envs, seed=seed, split=split)


class GymnasiumVectorEnv(BatchedEnv):
    """Copies of a plain environment; a step of one copy is one simulator call.

    Every episode is seeded anew from its copy's generator, so that it is a function of its seed and its actions. That
    is also how a copy is saved: continuing plays the running episode again and compares what is observed then.

    ``info`` holds the numbers and numeric arrays that the first step's has in all copies; NaN where a later one lacks
    them.

    Parameters
    ----------
    factory
        Makes one copy.
    num_envs, seed, split
        As in `BatchedEnv`.

    Raises
    ------
    UserError
        If a space is not among `OBSERVATIONS` or `ACTIONS`, or actions have no finite bounds.
    """

    def __init__(self, factory: Factory, *, num_envs: int, seed: int, split: str = "train") -> None:
        self.factory = factory
        self.copies = [factory() for _ in range(max(num_envs, 1))]
        first = self.copies[0]
        action_space = _accepted_actions(first.action_space)
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=_accepted_observations(first.observation_space),
            action_space=action_space,
        )
        # Algorithms count discrete actions from zero.
        self.first_action = int(first.action_space.start) if isinstance(first.action_space, spaces.Discrete) else 0
        self.horizon = None if first.spec is None else first.spec.max_episode_steps
        self.observations: list[Any] = [None] * num_envs
        self.played: list[list[Any]] = [[] for _ in range(num_envs)]
        self.info_shapes: dict[str, tuple[int, ...]] | None = None

    def restart(self, copies: np.ndarray) -> None:
        """Reset these copies with fresh seeds of their generators."""
        seeds = self.state.setdefault("episode_seed", np.zeros(self.num_envs, dtype=np.int64))
        for copy in copies.tolist():
            seeds[copy] = self.generators[copy].integers(2**31)
            self.observations[copy], _ = self.copies[copy].reset(seed=int(seeds[copy]))
            self.played[copy] = []

    def advance(self, actions: Arrays) -> Transition:
        """Step one copy after the other."""
        self.simulator_calls += self.num_envs
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        infos = []
        for copy, action in enumerate(iterate(self.action_space, actions)):
            chosen = action + self.first_action if self.first_action else action
            self.played[copy].append(np.array(chosen))
            self.observations[copy], reward[copy], terminated[copy], truncated[copy], info = self.copies[copy].step(
                chosen
            )
            infos.append(info)
        return Transition(reward, terminated, truncated & ~terminated, self._numbers(infos))

    def observe(self) -> Arrays:
        """Return what the copies' own step or reset gave last."""
        space = self.single_observation_space
        empty: Any = create_empty_array(space, self.num_envs)
        observation: Any = concatenate(space, self.observations, empty)
        return cast("Arrays", observation)

    def action_masks(self) -> np.ndarray:
        """Return what the copies' own ``action_masks()`` say, (num_envs, n_actions) bool."""
        if not self.copies[0].has_wrapper_attr("action_masks"):
            return super().action_masks()
        return np.array([copy.get_wrapper_attr("action_masks")() for copy in self.copies], dtype=bool)

    def facts(self) -> dict[str, Any]:
        """Return the class and the spaces of one copy; its discrete actions are ours plus ``first_action``."""
        kind = type(self.copies[0].unwrapped)
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "observation_space": str(self.single_observation_space),
            "action_space": str(self.single_action_space),
            "first_action": self.first_action,
        }

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make other copies of the same environment."""
        return type(self)(self.factory, num_envs=num_envs, seed=seed, split=split)

    def get_state(self) -> State:
        """Return seeds and actions of the running episodes, from which they are played again."""
        begun = "elapsed_steps" in self.state
        return super().get_state() | {
            "played": [np.array(actions) for actions in self.played],
            "observation": self.observe() if begun else None,
        }

    def set_state(self, state: State) -> None:
        """Play the running episodes again.

        Raises
        ------
        UserError
            If that leads elsewhere: the environment is not a function of its seed and its actions.
        """
        super().set_state(state)
        if "episode_seed" not in self.state:
            return
        over = [self._replay(copy, actions) for copy, actions in enumerate(state["played"])]
        if any(over) or not _equal(self.observe(), state["observation"]):
            raise UserError(
                f"{self.facts()['class']} does not repeat an episode from its seed and actions, so this run cannot be "
                "continued: draw all random numbers from self.np_random, or train anew in another directory."
            )

    def _replay(self, copy: int, actions: np.ndarray) -> bool:
        """Play one copy's running episode again; return whether it ended early, which it did not before."""
        self.observations[copy], _ = self.copies[copy].reset(seed=int(self.state["episode_seed"][copy]))
        self.played[copy] = list(actions)
        for action in actions:
            # Indexing with () makes a number of a discrete action, as it was first given.
            self.observations[copy], _, terminated, truncated, _ = self.copies[copy].step(
                action if action.ndim else action[()]
            )
            if terminated or truncated:
                return True
        return False

    def close_extras(self, **kwargs: Any) -> None:
        """Close the copies."""
        del kwargs
        for copy in self.copies:
            copy.close()

    def _numbers(self, infos: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        if self.info_shapes is None:
            shared = set(infos[0]).intersection(*infos[1:])
            kept = {key: np.asarray(value) for key, value in infos[0].items() if key in shared and _is_numeric(value)}
            self.info_shapes = {key: value.shape for key, value in kept.items()}
        return {
            key: np.array([_of_shape(info.get(key), shape) for info in infos])
            for key, shape in self.info_shapes.items()
        }


def _is_numeric(value: Any) -> bool:
    return isinstance(value, int | float | np.generic | np.ndarray) and np.asarray(value).dtype.kind in "biuf"


def _of_shape(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the value as an array of this shape, or NaN where it is not one."""
    fits = _is_numeric(value) and np.shape(value) == shape
    return np.asarray(value, dtype=float) if fits else np.full(shape, np.nan)


def _accepted_actions(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    if not isinstance(space, ACTIONS):
        raise UserError(f"The action space {space} is not supported: use Box, Discrete, MultiDiscrete or MultiBinary.")
    if isinstance(space, spaces.Box) and not space.is_bounded():
        raise UserError(f"The action space {space} has no finite bounds: wrap it with Gymnasium's RescaleAction.")
    return spaces.Discrete(int(space.n)) if isinstance(space, spaces.Discrete) else space


def _accepted_observations(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    parts = space.values() if isinstance(space, spaces.Dict) else (space,)
    if not isinstance(space, OBSERVATIONS) or not all(isinstance(part, ACTIONS) for part in parts):
        raise UserError(
            f"The observation space {space} is not supported: use Box, Discrete, MultiDiscrete, MultiBinary, or a "
            "Dict of them; Gymnasium's FlattenObservation makes a Box of any."
        )
    return space


def _equal(one: Arrays, other: Arrays) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
    return bool(np.array_equal(one, other))  # type: ignore[arg-type]
