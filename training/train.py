"""The one training loop."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import UserError
from ..algorithms.baselines.random import RandomPolicy
from ..algorithms.learner import Learner, Policy, Solver
from ..envs.batched import BatchedEnv, NonFiniteError
from ..envs.evaluation import Evaluation, evaluate
from ..storage.checkpoint import CheckpointError
from .build import build_environment, build_learner, import_target, plain
from .devices import choose_device
from .display import Display, SilentDisplay
from .provenance import provenance, read_provenance
from .random_state import (
    global_states,
    preserved_random_state,
    seed_for,
    seed_global_states,
    set_global_states,
)
from .run_directory import RunDirectory, storage_error
from .stopping import Interrupted, stop_requests

if TYPE_CHECKING:
    from ..configs.schema import RunConfig

Report = Callable[[int, Evaluation], None]

POLICIES = ("last", "best")
"""The run's own agents; all others that are measured are baselines."""


@dataclass(frozen=True)
class Result:
    """A finished run: where it lies, its scalars, and the environment's metrics with what is better."""

    directory: Path
    scalars: dict[str, Any]
    metrics: list[dict[str, str]]
    trained: bool


def ignore(simulator_calls: int, evaluation: Evaluation) -> None:
    """Report to nobody."""


def train(config: "RunConfig", directory: Path, *, report: Report = ignore, display: Display | None = None) -> Result:
    """Train, continue, or return the result of a finished run; everything is written to ``directory``.

    Parameters
    ----------
    config
        The whole run; equal configs give equal results, bit for bit on one machine.
    directory
        The run directory; see `RunDirectory`.
    report
        Called after every evaluation on the validation split; may raise to end the run early.
    display
        Where progress is shown.

    Raises
    ------
    UserError
        If the directory belongs to another config or process, cannot be written, or training diverges.
    Interrupted
        After Ctrl-C or SIGTERM, once the checkpoint is written.
    """
    display = SilentDisplay() if display is None else display
    device = choose_device(config.device)
    try:
        with RunDirectory.open(directory, plain(config)) as files, pinned_threads(config.threads), display:
            finished = files.result()
            if finished is not None:
                metrics = read_provenance(directory / "provenance.json").get("metrics", [])
                return Result(directory, finished, metrics, trained=False)
            with recorded_failure(directory):
                return Run(config, files, device, display).to_the_end(report)
    except OSError as error:
        raise storage_error(error, directory) from error


class Run:
    """One run in memory: environment, learner, and how far it is."""

    def __init__(self, config: "RunConfig", files: RunDirectory, device: str, display: Display) -> None:
        self.config = config
        self.files = files
        self.display = display
        self.environment: BatchedEnv = build_environment(
            config.env, seed=seed_for(config.seed, "environment"), split="train"
        )
        seed_global_states(config.seed)
        self.learner: Learner = build_learner(
            config.algo, self.environment, seed=seed_for(config.seed, "learner"), device=device
        )
        self.metrics = [vars(metric) for metric in self.environment.metrics]
        self.updates = 0
        self.best_score: float | None = None
        self.best_calls = 0
        self.saved_at = time.monotonic()
        self.evaluation_seconds = 0.0
        self._describe(device)
        self.resumed_at = self._restore()
        self.tracker = import_target(config.tracker)(config.tracker, files.path, resumed_at=self.resumed_at)

    @property
    def calls(self) -> int:
        """Simulator calls spent on training."""
        return self.environment.simulator_calls

    def to_the_end(self, report: Report) -> Result:
        """Update until the budget is spent or the learner has finished, then measure what came out."""
        config = self.config
        self.display.begin("/".join(self.files.path.parts[-2:]), config.budget, self.calls)
        with stop_requests() as requests, closing(self.tracker):
            if self.resumed_at is None:
                self._log({}, self._evaluate(report), update_seconds=0.0)
            while self.calls < config.budget and not self.learner.finished:
                self._update(report)
                if requests:
                    self.save()
                    raise Interrupted(requests[0], self.files.path)
            self.save()
        return self._finish()

    def save(self) -> None:
        """Write the checkpoint that continues exactly from here."""
        self.files.save(self._content())
        self.saved_at = time.monotonic()

    def _update(self, report: Report) -> None:
        before, started = self.calls, time.perf_counter()
        scalars = self.learner.update(min(self.calls / self.config.budget, 1.0))
        scalars |= {f"environment/{key}": value for key, value in self.environment.training_scalars().items()}
        seconds = time.perf_counter() - started
        self.updates += 1
        self._check_finite(scalars)
        over = self.calls >= self.config.budget or self.learner.finished
        evaluated = self._evaluate(report) if over or self._due(before, self._evaluation_every()) else None
        self._log(scalars, evaluated, update_seconds=seconds)
        if evaluated is not None or time.monotonic() - self.saved_at >= self.config.checkpoint.seconds:
            self.save()
        if self.config.checkpoint.every is not None and self._due(before, self.config.checkpoint.every):
            self._save_numbered()

    def _evaluation_every(self) -> int:
        every = self.config.evaluation.every
        return max(1, self.config.budget // 10) if every is None else every

    def _due(self, before: int, every: int) -> bool:
        return before // every != self.calls // every

    def _log(self, scalars: Mapping[str, float], evaluation: Evaluation | None, *, update_seconds: float) -> None:
        position = {"update": self.updates, "simulator_calls": self.calls}
        timing = {"update_seconds": update_seconds, "evaluation_seconds": self.evaluation_seconds}
        # Seconds are no function of config and seed, and progress.csv is.
        timing |= {key.removeprefix("time/"): value for key, value in scalars.items() if key.startswith("time/")}
        values = {key: value for key, value in scalars.items() if not key.startswith("time/")}
        if evaluation is not None:
            values = {f"evaluation/{key}": value for key, value in evaluation.scalars.items()} | values
        self.files.tables["progress"].append(position | values)
        self.files.tables["timing"].append(position | timing)
        self.evaluation_seconds = 0.0
        self.tracker.log(self.calls, values)
        self.display.update(self.calls, values)

    def _check_finite(self, scalars: Mapping[str, float]) -> None:
        for key, value in scalars.items():
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"{key} is {value} after update {self.updates} ({self.calls} simulator calls): lower the learning "
                    f"rate, or check the environment's options; the last checkpoint in {self.files.path} is intact."
                )

    def _evaluate(self, report: Report) -> Evaluation:
        """Evaluate on the validation split, keep the best agent so far, and report."""
        started = time.perf_counter()
        evaluation = self._measure(self.learner.agent(), "validation")
        self._write_episodes(evaluation, "validation", "last")
        metric = self.environment.metrics[0]
        score = evaluation.scalars[metric.name]
        signed = score if metric.better == "higher" else -score
        if self.best_score is None or signed > self.best_score:
            self.best_score, self.best_calls = signed, self.calls
            self.files.save_as("best", {"learner": self.learner.get_state(), "simulator_calls": self.calls})
        self.evaluation_seconds = time.perf_counter() - started
        report(self.calls, evaluation)
        return evaluation

    def _measure(self, agent: Policy | Solver, split: str) -> Evaluation:
        """Measure an agent on a split, whose episodes are the same whenever and whatever is measured."""
        settings = self.config.evaluation
        seed = seed_for(self.config.seed, split)
        copies = settings.num_envs or self.config.env.num_envs
        with preserved_random_state():
            environment = self.environment.sibling(min(copies, settings.episodes or copies), seed, split)
            evaluation = evaluate(
                agent, environment, episodes=settings.episodes, seed=seed, deterministic=settings.deterministic
            )
        self._check_finite(evaluation.scalars)
        return evaluation

    def _write_episodes(self, evaluation: Evaluation, split: str, agent: str) -> None:
        position = {"simulator_calls": self.calls, "split": split, "agent": agent}
        rows = evaluation.episodes.to_dict("records")
        self.files.tables["evaluations"].extend([position | {str(key): row[key] for key in row} for row in rows])

    def _finish(self) -> Result:
        """Measure last, best and baselines on the test split, and write the result last."""
        agents: dict[str, Policy | Solver] = {"last": self.learner.agent()}
        scalars: dict[str, Any] = {"simulator_calls": self.calls, "updates": self.updates}
        scalars["best_simulator_calls"] = self.best_calls
        scalars |= self.environment.run_scalars()
        self._measure_finally(agents, scalars)
        self._write_runtime(agents["last"])
        last = self.learner.get_state()
        self.learner.set_state(self.files.read("best")["learner"])
        self._measure_finally({"best": self.learner.agent()}, scalars)
        self.learner.set_state(last)
        if self.config.evaluation.baselines or self.environment.needs_baselines:
            self._measure_finally(self.environment.baselines() | {"random": RandomPolicy(self.environment)}, scalars)
        algorithm = str(getattr(self.config.algo, "name", ""))
        for name, table in self.environment.final_tables(scalars, algorithm).items():
            self.files.write_csv(name, table)
        self.files.write_json("result.json", scalars)
        return Result(self.files.path, scalars, self.metrics, trained=True)

    def _measure_finally(self, agents: Mapping[str, Policy | Solver], scalars: dict[str, Any]) -> None:
        for name, agent in agents.items():
            evaluation = self._measure(agent, "test")
            self._write_episodes(evaluation, "test", name)
            tables = evaluation.tables
            if name in POLICIES:
                tables = tables | self.environment.inspect(agent, evaluation)
            for table, frame in tables.items():
                self.files.write_table(f"{name}_{table}", frame)
            scalars |= {f"{name}/{key}": value for key, value in evaluation.scalars.items()}

    def _write_runtime(self, agent: Policy | Solver) -> None:
        """Write how long the parts of the training take, where the environment measures that."""
        import pandas as pd

        batches = pd.read_csv(self.files.path / "timing.csv")
        with preserved_random_state():
            runtime = self.environment.runtime(agent, batches)
        if runtime is not None:
            self.files.write_json("tables/runtime.json", runtime)

    def _content(self) -> dict[str, Any]:
        return {
            "learner": self.learner.get_state(),
            "environment": self.environment.get_state(),
            "random": global_states(),
            "updates": self.updates,
            "best_score": self.best_score,
            "best_calls": self.best_calls,
            "threads": self.config.threads,
        }

    def _restore(self) -> int | None:
        """Continue from the last good checkpoint; return its simulator calls, or None if there is none."""
        content = self.files.restore(self.display.note)
        if content is None:
            return None
        if content["threads"] != self.config.threads:
            self.display.note(
                f"The checkpoint was made with threads={content['threads']} and goes on with {self.config.threads}: "
                "the run will not be bit-identical to an unbroken one."
            )
        self.environment.set_state(content["environment"])
        self.learner.set_state(content["learner"])
        self.updates = content["updates"]
        self.best_score, self.best_calls = content["best_score"], content["best_calls"]
        self._check_best()
        set_global_states(content["random"])
        self.display.note(f"Continuing {self.files.path} at {self.calls:,} simulator calls.")
        return self.calls

    def _check_best(self) -> None:
        try:
            self.files.read("best")
        except CheckpointError as error:
            raise UserError(f"{error} It cannot be made again: delete {self.files.path} to train anew.") from error

    def _save_numbered(self) -> None:
        self.files.save_as(f"calls_{self.calls:012d}", self._content() | {"tables": {}})
        keep = self.config.checkpoint.keep
        if keep is not None:
            for old in self.files.numbered()[:-keep]:
                old.unlink()

    def _describe(self, device: str) -> None:
        content = provenance(device=device, threads=self.config.threads)
        earlier = read_provenance(self.files.path / "provenance.json").get("attempts", [])
        content["attempts"] = [*earlier, content["started"]]
        content["metrics"] = self.metrics
        content["run_metrics"] = [vars(metric) for metric in self.environment.run_metrics]
        content["environment"] = self.environment.facts()
        self.files.write_json("provenance.json", content)


@contextmanager
def pinned_threads(threads: int) -> Iterator[None]:
    """Give torch and the linear algebra libraries this many threads."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def recorded_failure(directory: Path) -> Iterator[None]:
    """Write what ended a run to ``failure.json``; `RunDirectory.restore` removes it when the run continues."""
    try:
        yield
    except Exception as error:
        content = {"error": type(error).__name__, "message": str(error)}
        with suppress(OSError):  # the error itself is what matters
            (directory / "failure.json").write_text(json.dumps(content, indent=2) + "\n")
        raise
