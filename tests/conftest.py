"""What several test files share: a small environment with every kind of space, and the command line."""

import os

# Small networks and matrices are slower on several threads, the more so where tests start processes of their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from bioppo.envs.batched import BatchedEnv, Transition


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Build models in a cache of this test run's own."""
    before = os.environ.get("BIOPPO_CACHE")
    os.environ["BIOPPO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["BIOPPO_CACHE"]
    else:
        os.environ["BIOPPO_CACHE"] = before


PUBLIC_DATA = Path(os.environ.get("BIOPPO_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
NO_PUBLIC_DATA = "needs a public data file: "


@pytest.fixture(scope="session")
def public_data() -> Callable[[str], Path]:
    """Return a function from ``kinetic/varma_strain_1.yml`` to its path, which skips the test where there is none."""

    def find(name: str) -> Path:
        path = PUBLIC_DATA / name
        if not path.exists():
            pytest.skip(f"{NO_PUBLIC_DATA}{name}; set BIOPPO_TEST_DATA to its folder's parent")
        return path

    return find


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests were skipped for want of public data."""
    reports = terminalreporter.getreports("skipped")
    without = sum(NO_PUBLIC_DATA in str(report.longrepr) for report in reports)
    if without:
        terminalreporter.write_line(f"{without} tests skipped for want of public data files (BIOPPO_TEST_DATA).")


class PointEnv(BatchedEnv):
    """A point in the plane, pushed towards the origin; episodes end there, or after a number of steps."""

    def __init__(
        self, num_envs: int = 3, seed: int = 0, split: str = "train", *, space: str = "box", horizon: int = 6
    ) -> None:
        self.space, self.horizon = space, horizon
        box = gymnasium.spaces.Box(-10.0, 10.0, (2,), np.float32)
        observation = gymnasium.spaces.Dict({"x": box, "rest": box}) if space == "dict" else box
        actions: dict[str, gymnasium.Space[Any]] = {
            "discrete": gymnasium.spaces.Discrete(4),
            "multi_discrete": gymnasium.spaces.MultiDiscrete([3, 3]),
            "multi_binary": gymnasium.spaces.MultiBinary(2),
        }
        action = actions.get(space, gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32))
        super().__init__(num_envs=num_envs, seed=seed, split=split, observation_space=observation, action_space=action)
        self.answer_space = gymnasium.spaces.Box(-5.0, 5.0, (2,), np.float64)

    def restart(self, copies: np.ndarray) -> None:
        self.state.setdefault("x", np.zeros((self.num_envs, 2)))
        self.state.setdefault("wind", np.zeros((self.num_envs, self.horizon, 2)))
        for copy in copies:
            self.state["x"][copy] = self.generators[copy].uniform(-3, 3, 2)
            self.state["wind"][copy] = self.generators[copy].normal(0, 0.1, (self.horizon, 2))

    def advance(self, actions: Any) -> Transition:
        self.simulator_calls += self.num_envs
        step = self.state["elapsed_steps"]
        moves = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        push = moves[actions] if self.space == "discrete" else np.asarray(actions, dtype=np.float64)
        if self.space in ("multi_discrete", "multi_binary"):
            push = push - 1
        self.state["x"] = self.state["x"] + push + self.state["wind"][np.arange(self.num_envs), step - 1]
        distance = np.linalg.norm(self.state["x"], axis=1)
        terminated = distance < 0.7
        return Transition(-distance, terminated, (step >= self.horizon) & ~terminated, {"distance": distance})

    def observe(self) -> Any:
        x = np.clip(self.state["x"], -10, 10).astype(np.float32)
        return {"x": x, "rest": np.zeros_like(x)} if self.space == "dict" else x

    def grade(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        self.simulator_calls += len(answers)
        distance = np.linalg.norm(answers - 1.5, axis=1)
        return {"distance": distance, "cost": distance}

    def sibling(self, num_envs: int, seed: int, split: str) -> "PointEnv":
        return PointEnv(num_envs, seed, split, space=self.space, horizon=self.horizon)


@pytest.fixture
def point_env() -> Callable[..., PointEnv]:
    """Return a function that makes the small environment."""
    return PointEnv


def same(one: Any, other: Any) -> bool:
    """Compare containers of arrays, tensors and numbers bit for bit."""
    import torch

    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


@pytest.fixture
def bitwise_same() -> Callable[[Any, Any], bool]:
    """Return a comparison of nested containers, bit for bit."""
    return same


@pytest.fixture
def bioppo(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the real command in a folder of this test's own."""

    def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300} | options
        return subprocess.run([sys.executable, "-m", "bioppo.cli.main", *words], check=False, **options)

    return run
