"""A trained policy as files that need none of this package: TorchScript, ONNX, and a description."""

import inspect
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize

from .. import UserError
from ..algorithms.learner import Policy, Solver
from ..algorithms.stable_baselines import StableBaselinesPolicy
from ..envs.batched import BatchedEnv
from ..envs.gymnasium.environment import GymnasiumVectorEnv
from ..storage.atomic_file import write_atomically
from .provenance import provenance
from .random_state import preserved_random_state
from .saved import load_agent, saved_facts

if TYPE_CHECKING:
    from ..configs.schema import RunConfig

OPSET = 17


class DeterministicPolicy(torch.nn.Module):
    """From raw observations (n, ...) to actions (n, ...), with everything that happens between them while evaluating.

    Parameters
    ----------
    policy
        A policy of stable-baselines3, on the CPU.
    normaliser
        The observation normaliser it was trained with, if any; its moments become constants.
    keys
        Of a dictionary observation, in the order of the inputs; empty for one array.
    """

    def __init__(self, policy: Any, normaliser: VecNormalize | None, keys: tuple[str, ...]) -> None:
        super().__init__()
        self.policy = policy
        self.keys = keys
        self.moments = observation_moments(normaliser, keys)
        space = policy.action_space
        self.clips = isinstance(space, gymnasium.spaces.Box)
        if self.clips:
            self.register_buffer("low", torch.as_tensor(space.low))
            self.register_buffer("high", torch.as_tensor(space.high))

    def forward(self, *observation: torch.Tensor) -> torch.Tensor:
        """Return the most probable actions, within their bounds."""
        parts = [self._normalise(key, part) for key, part in zip(self.keys or ("",), observation, strict=True)]
        inputs: Any = dict(zip(self.keys, parts, strict=True)) if self.keys else parts[0]
        actions: torch.Tensor = self.policy.get_distribution(inputs).get_actions(deterministic=True)
        if not self.clips:
            return actions
        actions = actions.reshape(-1, *self.policy.action_space.shape)
        return torch.minimum(torch.maximum(actions, self.low), self.high)  # type: ignore[arg-type]

    def _normalise(self, key: str, part: torch.Tensor) -> torch.Tensor:
        if key not in self.moments:
            return part
        moments = self.moments[key]
        # In double precision, as stable-baselines3 does it.
        scaled = (part.double() - torch.as_tensor(moments["mean"])) / torch.as_tensor(moments["deviation"])
        return scaled.clamp(-moments["clip"], moments["clip"]).float()


def observation_moments(normaliser: VecNormalize | None, keys: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return mean, standard deviation and clipping limit by key of the observation (the empty key for one array)."""
    if normaliser is None or not normaliser.norm_obs:
        return {}
    moments: Any = normaliser.obs_rms if keys else {"": normaliser.obs_rms}
    return {
        key: {
            "mean": np.asarray(entry.mean, dtype=np.float64),
            "deviation": np.sqrt(np.asarray(entry.var, dtype=np.float64) + normaliser.epsilon),
            "clip": float(normaliser.clip_obs),
        }
        for key, entry in moments.items()
    }


def export_policy(config: "RunConfig", directory: Path, output: Path, *, checkpoint: str) -> list[Path]:
    """Write ``policy.pt`` (TorchScript), ``policy.onnx`` and ``policy.json``; return their paths.

    Raises
    ------
    UserError
        If the run's agent is no network that acts by itself, or a package is missing.
    """
    with preserved_random_state():
        agent, environment = load_agent(config, directory, checkpoint=checkpoint)
        policy = exportable(agent, config.algo.name)
        examples = example_inputs(environment)
    output.mkdir(parents=True, exist_ok=True)
    files = [output / name for name in ("policy.pt", "policy.onnx", "policy.json")]
    write_torchscript(policy, examples, files[0])
    write_onnx(policy, examples, files[1])
    content = describe(policy, environment) | {
        "run": saved_facts(config, directory, checkpoint),
        "provenance": provenance(device="cpu", threads=torch.get_num_threads()),
    }
    write_atomically(files[2], (json.dumps(content, indent=2) + "\n").encode())
    return files


def exportable(agent: Policy | Solver, name: str) -> DeterministicPolicy:
    """Return the agent of the algorithm called ``name`` as a module, or refuse one that is no network."""
    if getattr(agent, "uses_masks", False):
        raise UserError(
            f"algo={name} needs action masks at every step, which no exported file is given: export a run of algo=ppo, "
            "where algo.mask_in_policy=true reads masks from observations."
        )
    if not isinstance(agent, StableBaselinesPolicy):
        raise UserError(f"algo={name} has no policy network ({type(agent).__name__}): export a run of algo=ppo.")
    model = agent.model
    space = model.observation_space
    keys = tuple(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else ()
    model.policy.set_training_mode(False)
    return DeterministicPolicy(model.policy, agent.normaliser, keys).eval()


def example_inputs(environment: BatchedEnv) -> tuple[torch.Tensor, ...]:
    """Return first observations of two copies, one tensor per input: what the network is traced with."""
    observation, _ = environment.sibling(2, 0, "test").reset()
    # In the order of the space, which is sorted, whatever that of the observation.
    space = environment.single_observation_space
    parts = [observation[key] for key in space] if isinstance(space, gymnasium.spaces.Dict) else [observation]
    return tuple(torch.as_tensor(part) for part in parts)


def write_torchscript(policy: DeterministicPolicy, examples: tuple[torch.Tensor, ...], file: Path) -> None:
    """Write what ``torch.jit.load`` reads in Python and C++."""
    with warnings.catch_warnings():
        # Deprecated in favour of torch.export, whose files C++ and older versions of torch do not read.
        warnings.simplefilter("ignore")
        torch.jit.trace(policy, examples).save(str(file))  # type: ignore[no-untyped-call]


def write_onnx(policy: DeterministicPolicy, examples: tuple[torch.Tensor, ...], file: Path) -> None:
    """Write an ONNX model; the number of rows is free."""
    names = list(policy.keys) or ["observation"]
    try:
        with warnings.catch_warnings():
            # The exporter that replaces this one needs one more package and gives the same network.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                policy,
                examples,
                str(file),
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["action"],
                dynamic_axes={name: {0: "rows"} for name in [*names, "action"]},
            )
    except ImportError as error:
        raise UserError("ONNX files need the package onnx: run `pip install 'bioppo[export]'`.") from error


def describe(policy: DeterministicPolicy, environment: BatchedEnv) -> dict[str, Any]:
    """Return meaning, shape, bounds, type and normalisation of every input and of the action, as JSON values."""
    space = environment.single_observation_space
    parts = dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {"observation": space}
    inputs = {name: describe_space(part) for name, part in parts.items()}
    for name, entry in inputs.items():
        moments = policy.moments.get(name if policy.keys else "")
        entry["normalised_inside"] = None if moments is None else {key: _plain(moments[key]) for key in moments}
    return {
        "environment": meaning_of(environment),
        "inputs": inputs,
        "action": describe_space(environment.single_action_space) | {"clipped_inside": policy.clips},
        "use": "Rows are independent; give raw observations as the environment returns them, without normalising them.",
        "facts": environment.facts(),
    }


def meaning_of(environment: BatchedEnv) -> dict[str, str | None]:
    """Return what the environment's own documentation says it is, and says of observations and actions."""
    kind: Any = type(environment)
    methods = {"observation": kind.observe, "action": kind.advance}
    if isinstance(environment, GymnasiumVectorEnv):
        kind = type(environment.copies[0].unwrapped)
        methods = {"observation": kind.reset, "action": kind.step}
    content = {"class": f"{kind.__module__}.{kind.__qualname__}", "meaning": inspect.getdoc(kind)}
    return content | {f"{name}_meaning": inspect.getdoc(method) for name, method in methods.items()}


def describe_space(space: gymnasium.Space[Any]) -> dict[str, Any]:
    """Return kind, shape, type and bounds of a space; infinite bounds are null."""
    content: dict[str, Any] = {
        "kind": type(space).__name__,
        "shape": list(space.shape or ()),
        "dtype": str(space.dtype),
    }
    if isinstance(space, gymnasium.spaces.Box):
        content |= {"low": _plain(space.low), "high": _plain(space.high)}
    if isinstance(space, gymnasium.spaces.Discrete):
        content |= {"low": int(space.start), "high": int(space.start + space.n - 1)}
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        content |= {"low": _plain(space.start), "high": _plain(space.start + space.nvec - 1)}
    return content


def _plain(values: Any) -> Any:
    """Return an array as nested lists, or one number where all are equal; null for what is not finite."""
    array = np.asarray(values)
    if array.size and (array == array.flat[0]).all():
        return array.flat[0].item() if np.isfinite(array.flat[0]) else None
    return [_plain(row) for row in array]
