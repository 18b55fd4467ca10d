"""Any same-step Gymnasium vector environment as a stable-baselines3 `VecEnv`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from .. import UserError

AnyVectorEnv = VectorEnv[Any, Any, Any]


def refuse_several_agents(environment: AnyVectorEnv) -> None:
    """Raise `UserError` where several agents learn: stable-baselines3 trains one."""
    agents = getattr(environment, "agents", ())
    if len(agents) > 1:
        raise UserError(
            f"{type(environment).__name__} has {len(agents)} learning agents ({', '.join(agents)}), and this algorithm "
            "trains one: use algo=independent_ppo."
        )


class StableBaselinesAdapter(VecEnv):
    """Pass arrays through; make info dictionaries for ended copies only.

    Accepts this package's batched environments, whose ``final_obs`` is one array (or a mapping of arrays), and
    Gymnasium's own vector environments, whose ``final_obs`` is an object array with an entry per ended copy.
    """

    def __init__(self, environment: AnyVectorEnv) -> None:
        mode = environment.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"the adapter needs autoreset_mode=SAME_STEP, not {mode}")
        refuse_several_agents(environment)
        self.environment = environment
        super().__init__(environment.num_envs, environment.single_observation_space, environment.single_action_space)

    def reset(self) -> Any:
        """Begin a new episode in every copy, with the seeds given to `seed` if any."""
        seeds: Any = None if None in self._seeds else list(self._seeds)
        observation, _ = self.environment.reset(seed=seeds)
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions."""
        self.actions = actions

    def step_wait(self) -> Any:
        """Take the step and return observations, rewards (float32), ended copies and info dictionaries."""
        observation, reward, terminated, truncated, info = self.environment.step(self.actions)
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for copy in np.flatnonzero(ended).tolist():
            infos[copy] = {
                "terminal_observation": _row(info["final_obs"], copy),
                "TimeLimit.truncated": bool(truncated[copy] and not terminated[copy]),
            }
        return observation, reward.astype(np.float32), ended, infos

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return the environment's attribute, once per asked copy."""
        return [getattr(self.environment, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the attribute for all copies at once; they share one object."""
        del indices
        setattr(self.environment, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> Any:
        """Call a method of the environment; masks come back as one array (num_envs, n_actions)."""
        result = getattr(self.environment, method_name)(*method_args, **method_kwargs)
        if method_name == "action_masks":
            return result
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Say that no copy is wrapped: there are no single environments inside."""
        del wrapper_class
        return [False for _ in self._get_indices(indices)]

    def has_attr(self, attr_name: str) -> bool:
        """Say whether the environment has an attribute or method of this name."""
        return hasattr(self.environment, attr_name)


def _row(final: Any, copy: int) -> Any:
    """Take one copy's last observation out of either form of ``final_obs``."""
    if isinstance(final, Mapping):
        return {key: np.array(value[copy]) for key, value in final.items()}
    entry: np.ndarray | Mapping[str, Any] | Sequence[Any] = final[copy]
    if isinstance(entry, Mapping):
        return dict(entry)
    return np.array(entry)
