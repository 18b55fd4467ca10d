"""A writer of run directories as `bioppo train` leaves them, so that reports are tested without training."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

METRICS = [
    {"name": "incidence", "better": "higher", "meaning": "share of valid sets"},
    {"name": "max_eigenvalue", "better": "lower", "meaning": "largest eigenvalue, 1/h"},
]
ENV = {"_target_": "bioppo.envs.kinetic.environment.KineticVectorEnv", "name": "kinetic", "horizon": 5}
ALGO = {"_target_": "bioppo.algorithms.ppo.learner.PPO", "name": "ppo", "learning_rate": 0.0003}
EVALUATION = {"episodes": 100, "every": None}


class Study:
    """Writes runs below one directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(
        self,
        folder: str,
        seed: int = 0,
        *,
        env: dict[str, Any] | None = None,
        algo: dict[str, Any] | None = None,
        result: dict[str, float | None] | None = None,
        progress: str | None = None,
        failure: str | None = None,
        metrics: list[dict[str, str]] | None = METRICS,
        provenance: dict[str, Any] | None = None,
        **config: Any,
    ) -> Path:
        """Write one run; ``env`` and ``algo`` are changes of the default, ``result=None`` leaves it unfinished."""
        path = self.path / folder / f"seed_{seed}"
        path.mkdir(parents=True)
        content = {"env": ENV | (env or {}), "algo": ALGO | (algo or {}), "seed": seed, "budget": 1000}
        content |= {"evaluation": EVALUATION, "device": "cpu", "threads": 1, "study": None} | config
        (path / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        if metrics is not None:
            (path / "provenance.json").write_text(
                json.dumps({"metrics": metrics, "device": "cpu"} | (provenance or {}))
            )
        if progress is not None:
            (path / "progress.csv").write_text(progress)
        if failure is not None:
            (path / "failure.json").write_text(json.dumps({"error": failure, "message": "something"}))
        if result is not None:
            (path / "result.json").write_text(json.dumps({"simulator_calls": 1000, "updates": 10} | result))
        return path

    def describe(self, *jobs: tuple[str, int], **content: Any) -> None:
        """Write a ``study.json`` that names jobs by their folder, which is also their variant, and their seed."""
        entries = [{"variant": name, "seed": seed, "directory": f"{name}/seed_{seed}"} for name, seed in jobs]
        self.path.mkdir(parents=True, exist_ok=True)
        whole = {"study": None, "jobs": entries, "reference": None} | content
        (self.path / "study.json").write_text(json.dumps(whole))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Return a writer into an empty directory."""
    return Study(tmp_path / "study")
