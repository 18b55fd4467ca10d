"""A study: which trials there are, how one is trained, and what it scores.

The trials of all processes come from one storage. A process takes its next trial while it holds the study's lock, and
holds a lock of the trial's own while it trains: a trial that is marked as running and can be locked was left by a dead
process. It is then taken over with its number, so that its parameters stay and its run directories continue exactly.
"""

import hashlib
import json
import math
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from .. import UserError
from ..algorithms.masked_ppo.networks import environment_network
from ..configs.saved import identity
from ..configs.schema import RunConfig, group_name
from ..envs.evaluation import Evaluation
from ..storage.atomic_file import write_atomically
from ..training.build import build_environment, plain
from ..training.devices import choose_device
from ..training.train import Report, train
from .composition import Composition
from .objective import score_of_run
from .search_space import Dimension, SearchConfig
from .storage import claim, exclusive, open_storage, without_password

EVALUATIONS = 10
"""Of a trained agent in a run whose objective is area_from_zero, equally far apart."""

POLL_SECONDS = 0.2
"""How often a process without work looks whether one of the others has died."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Headline:
    """The environment's first metric, by which trials are compared."""

    name: str
    better: str

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.better == "higher" else -1


@dataclass(frozen=True)
class Tuning:
    """One search as it was asked for: all that a process needs to take part in it."""

    composition: Composition
    search: str
    settings: SearchConfig
    space: dict[str, Dimension]
    base: RunConfig
    headline: Headline
    directory: Path
    deadline: float | None = None

    def trial_directory(self, number: int) -> Path:
        """Return the folder of a trial's runs."""
        return self.directory / "trials" / str(number)

    def trial_run(self, values: dict[str, Any], seed: int) -> RunConfig:
        """Return the run of a trial with one of its seeds."""
        budget = self.settings.trial_budget
        shortened: dict[str, Any] = {} if budget is None else {"budget": budget}
        if self.settings.objective == "area_from_zero":
            shortened["evaluation.every"] = -(-(budget or self.base.budget) // EVALUATIONS)
        return self.composition.run({"seed": seed} | shortened | values)

    def values(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the settings that a trial's stored parameters stand for."""
        return {key: dimension.decode(parameters[key]) for key, dimension in self.space.items()}

    def trial_evaluations(self) -> int:
        """Return the last step that a trial reports, over all its seeds."""
        run = self.trial_run({}, self.settings.seeds[0])
        return len(self.settings.seeds) * steps_per_run(run) - 1

    @property
    def time_is_up(self) -> bool:
        """Whether no further trial shall begin."""
        return self.deadline is not None and time.time() >= self.deadline


def study_name(search: str, settings: SearchConfig, base: RunConfig) -> str:
    """Return ``<search>-<env>-<algo>-<8 hex>``: a function of everything that decides what the trials are.

    How many trials there shall be, by how many processes and for how long, and the final phase do not count: with more
    of them, a study goes on.
    """
    config = plain(base)
    decisive: list[Any] = [settings.space, settings.objective, settings.sampler, settings.pruner, list(settings.seeds)]
    if settings.pruner == "median" and (settings.pruner_trials, settings.pruner_warmup) != (5, 0.0):
        decisive += [settings.pruner_trials, settings.pruner_warmup]
    storage = without_password(settings.storage or "")
    content = [identity(config), config["seed"], decisive, settings.trial_budget, storage]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return f"{search}-{group_name(config['env'])}-{group_name(config['algo'])}-{digest}"


def find_headline(base: RunConfig, example: RunConfig) -> Headline:
    """Build the environment once to see what it measures, and whether it and the device are there at all.

    A network of the environment's own is built with the options of ``example``, a run with values of the space.
    """
    choose_device(base.device)
    environment = build_environment(base.env, seed=base.seed, split="validation")
    if getattr(example.algo, "policy_options", None):
        environment_network(example.algo, environment)
    metric = environment.metrics[0]
    return Headline(metric.name, metric.better)


def open_study(tuning: Tuning) -> optuna.Study:
    """Open the study, or begin it.

    Raises
    ------
    UserError
        If the storage is out of reach, or it and the directory do not belong together.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tuning.directory.mkdir(parents=True, exist_ok=True)
    with exclusive(tuning.directory / "study.lock"):
        study = optuna.create_study(
            storage=open_storage(tuning.settings.storage, tuning.directory),
            study_name=tuning.directory.name,
            direction="maximize" if tuning.headline.sign > 0 else "minimize",
            load_if_exists=True,
            pruner=make_pruner(tuning.settings, tuning.trial_evaluations),
        )
        _check_directory(study, tuning)
    return study


def _check_directory(study: optuna.Study, tuning: Tuning) -> None:
    """Refuse trials of one place with run directories of another: their numbers would not mean the same."""
    file = tuning.directory / "study.json"
    here = json.loads(file.read_text())["id"] if file.exists() else None
    there = study.user_attrs.get("id")
    is_new = there is None and not (tuning.directory / "trials").exists()
    if here != there and not is_new:
        place = without_password(tuning.settings.storage or str(tuning.directory))
        raise UserError(
            f"The study {study.study_name} in {place} does not belong to {tuning.directory}: run it where its results "
            "folder is, or move that directory away and choose another storage to begin anew."
        )
    if is_new:
        content = {
            "id": here or uuid.uuid4().hex,
            "search": tuning.search,
            "overrides": list(tuning.composition.overrides),
            "metric": tuning.headline.name,
            "better": tuning.headline.better,
            "space": tuning.settings.space,
        }
        write_atomically(file, (json.dumps(content, indent=2) + "\n").encode())
        study.set_user_attr("id", content["id"])


def make_pruner(settings: SearchConfig, evaluations: Callable[[], int]) -> optuna.pruners.BasePruner:
    """Return the pruner asked for; ``evaluations`` counts a trial's, of which the warm-up is a share."""
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner()
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    share = settings.pruner_warmup
    warmup = math.ceil(round(share * evaluations(), 9)) if share else 0
    return optuna.pruners.MedianPruner(n_startup_trials=settings.pruner_trials, n_warmup_steps=warmup)


def steps_per_run(run: RunConfig) -> int:
    """Return by how much the steps of a trial's next seed are further on."""
    return run.budget // interval(run) + 1


def interval(run: RunConfig) -> int:
    """Return the simulator calls between two evaluations of a run."""
    return run.evaluation.every or max(1, run.budget // 10)


def make_sampler(settings: SearchConfig, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one trial, seeded by the run's seed and the trial's number."""
    derived = int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=derived)
    if settings.sampler == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=derived, warn_independent_sampling=False)
    return optuna.samplers.TPESampler(seed=derived)


def train_trials(tuning: Tuning, study: optuna.Study, say: Say) -> None:
    """Train trials until as many as asked for are finished, by this process or others."""
    for trial, before in claimed_trials(tuning, study):
        train_trial(tuning, study, trial, set(before.intermediate_values))
        say(describe(tuning, study.get_trials(deepcopy=False)[trial.number]))


def claimed_trials(tuning: Tuning, study: optuna.Study) -> Iterator[tuple[Trial, FrozenTrial]]:
    """Yield the trials that this process shall train, each locked until the next one is asked for."""
    while True:
        with exclusive(tuning.directory / "study.lock"):
            known = study.get_trials(deepcopy=False, states=_TAKEN)
            running = [trial for trial in known if trial.state == TrialState.RUNNING]
            claimed = next(filter(None, (_take_over(tuning, study, trial) for trial in running)), None)
            if claimed is None and len(known) < tuning.settings.n_trials and not tuning.time_is_up:
                claimed = _begin(tuning, study, len(known))
        if claimed is None and not running:
            return
        if claimed is None:  # others are at work, and may die
            time.sleep(POLL_SECONDS)
            continue
        trial, lock = claimed
        with closing(lock):
            for key, dimension in tuning.space.items():
                dimension.suggest(key, trial)
            yield trial, study.get_trials(deepcopy=False)[trial.number]


_TAKEN = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _take_over(tuning: Tuning, study: optuna.Study, frozen: FrozenTrial) -> tuple[Trial, Any] | None:
    lock = claim(tuning.trial_directory(frozen.number) / "lock")
    if lock is None:
        return None
    if study.get_trials(deepcopy=False)[frozen.number].state != TrialState.RUNNING:  # it ended a moment ago
        lock.close()
        return None
    study.sampler = make_sampler(tuning.settings, tuning.base.seed, frozen.number)
    # Optuna tells no trial's identifier publicly, and begins a new trial wherever it may.
    return Trial(study, frozen._trial_id), lock


def _begin(tuning: Tuning, study: optuna.Study, number: int) -> tuple[Trial, Any]:
    study.sampler = make_sampler(tuning.settings, tuning.base.seed, number)
    trial = study.ask()
    lock = claim(tuning.trial_directory(trial.number) / "lock")
    assert lock is not None
    return trial, lock


def train_trial(tuning: Tuning, study: optuna.Study, trial: Trial, reported: set[int]) -> None:
    """Train a trial with one seed after the other and tell the study how it ended."""
    values = tuning.values(trial.params)
    scores: list[float] = []
    try:
        for seed in tuning.settings.seeds:
            run = tuning.trial_run(values, seed)
            directory = tuning.trial_directory(trial.number) / f"seed_{seed}"
            train(run, directory, report=make_report(tuning, run, trial, scores, reported))
            scores.append(score_of_run(directory, tuning.headline.name, tuning.settings.objective))
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except TRIAL_ERRORS as error:
        trial.set_user_attr("error", reason(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        trial.set_user_attr("scores", scores)
        study.tell(trial, float(np.mean(scores)))


TRIAL_ERRORS = (UserError, ValueError, ArithmeticError)
"""What may be the fault of a trial's settings: torch raises a ValueError where a distribution is given NaN."""


def reason(error: Exception) -> str:
    """Return why a run failed, in one line; what is not the fault of its settings is raised again."""
    if isinstance(error.__cause__, OSError):  # a full disk says nothing about the trial, which stays to be continued
        raise error
    name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{name}{first_line}"[:300]


def make_report(tuning: Tuning, run: RunConfig, trial: Trial, finished: list[float], reported: set[int]) -> Report:
    """Return what tells the study of a run's evaluations, and ends the trial if the pruner says so.

    The value is the mean of the finished seeds' scores and the present seed's headline metric. Steps count the
    intervals of ``evaluation.every`` that are passed, since trials with other rollouts are not evaluated at the same
    numbers of simulator calls; those of a later seed follow on those of the earlier ones. The untrained agent at step 0
    says nothing about a trial and is not reported. Optuna ignores a step that it knows, from before a kill.
    """
    every = interval(run)
    offset = len(finished) * steps_per_run(run)
    is_last_seed = len(finished) == len(tuning.settings.seeds) - 1

    def report(simulator_calls: int, evaluation: Evaluation) -> None:
        mark = min(simulator_calls, run.budget) // every
        if mark == 0:
            return
        if offset + mark not in reported:
            trial.report(float(np.mean([*finished, evaluation.scalars[tuning.headline.name]])), offset + mark)
            reported.add(offset + mark)
        if not (is_last_seed and simulator_calls >= run.budget) and trial.should_prune():
            raise optuna.TrialPruned

    return report


def describe(tuning: Tuning, trial: FrozenTrial) -> str:
    """Return one line about a trial that has ended."""
    values = "  ".join(f"{key}={shown(value)}" for key, value in tuning.values(trial.params).items())
    if trial.state == TrialState.COMPLETE:
        assert trial.value is not None
        outcome = f"{tuning.headline.name} {trial.value:.4g}"
    elif trial.state == TrialState.PRUNED:
        outcome = f"pruned at step {trial.last_step}"
    else:
        outcome = f"failed: {trial.user_attrs.get('error', 'no reason is known')}"
    return f"Trial {trial.number}: {outcome}  ({values})"


def shown(value: Any) -> str:
    """Return a value for the eye, with four digits where it is a fraction."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
