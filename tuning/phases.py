"""The two phases of a search: many short trials, then the best parameter sets at full budget with fresh seeds."""

import csv
import dataclasses
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from .. import UserError
from ..configs.registry import GROUPS, schema_of
from ..configs.schema import RunConfig
from ..reports.statistics import bootstrap_interval, interquartile_mean
from ..storage.atomic_file import write_atomically
from ..training.build import plain
from ..training.train import train
from .objective import score_of_run
from .storage import claim
from .study import POLL_SECONDS, TRIAL_ERRORS, Say, Tuning, reason, train_trials


@dataclass(frozen=True)
class Average:
    """How scores of several seeds become one: its name, and a function of (..., n) over the last axis."""

    name: str
    of: Callable[[Any], Any]


AVERAGES = {
    "iqm": Average("interquartile mean", interquartile_mean),
    "mean": Average("mean", lambda values: np.mean(values, axis=-1)),
}


@dataclass(frozen=True)
class Finalist:
    """A parameter set of the final phase.

    Attributes
    ----------
    number
        The trial that found it.
    values
        Its settings by dotted key.
    trial_score
        What it scored in the first phase.
    scores, test_scores
        By seed: the objective, and the headline metric of the last policy on the test split. A seed that failed is not
        in them.
    average
        Over seeds.
    """

    number: int
    values: Mapping[str, Any]
    trial_score: float
    scores: Mapping[int, float]
    test_scores: Mapping[int, float]
    average: Average = AVERAGES["iqm"]

    @property
    def score(self) -> float:
        """The average of the scores over seeds; NaN where there are none."""
        return self._averaged(self.scores)

    @property
    def test_score(self) -> float:
        """The average of the test scores over seeds; NaN where there are none."""
        return self._averaged(self.test_scores)

    def _averaged(self, scores: Mapping[int, float]) -> float:
        return float(self.average.of(list(scores.values()))) if scores else float("nan")


def run_phases(tuning: Tuning, study: optuna.Study, say: Say) -> None:
    """Take part in both phases until nothing is left to do."""
    train_trials(tuning, study, say)
    train_finalists(tuning, choose_finalists(tuning, study), say)


def choose_finalists(tuning: Tuning, study: optuna.Study) -> list[FrozenTrial]:
    """Return the best finished trials with different parameters, the best first.

    Raises
    ------
    UserError
        If no trial came to its end.
    """
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    if not complete:
        errors = [str(trial.user_attrs["error"]) for trial in trials if "error" in trial.user_attrs]
        first = f" The first that failed: {errors[0]}" if errors else ""
        raise UserError(
            f"None of the {len(trials)} trials in {tuning.directory} came to its end: narrow the space, give more "
            f"trials or time, or choose pruner=none.{first}"
        )
    ordered = sorted(complete, key=lambda trial: (-tuning.headline.sign * (trial.value or 0.0), trial.number))
    different: dict[str, FrozenTrial] = {}
    for trial in ordered:
        different.setdefault(json.dumps(trial.params, sort_keys=True), trial)
    return list(different.values())[: tuning.settings.top_k]


def train_finalists(tuning: Tuning, finalists: Sequence[FrozenTrial], say: Say) -> None:
    """Train every finalist with every final seed, sharing the work with other processes."""
    pending = [(trial, seed) for trial in finalists for seed in tuning.settings.final_seeds]
    while pending:
        held = []
        for trial, seed in pending:
            directory = final_directory(tuning, trial.number, seed)
            lock = claim(directory.with_suffix(".lock"))
            if lock is None:
                held.append((trial, seed))
                continue
            with closing(lock):
                _train_finalist(tuning, trial, seed, directory, say)
        pending = held
        if pending:  # others are at work, and may die
            time.sleep(POLL_SECONDS)


def _train_finalist(tuning: Tuning, trial: FrozenTrial, seed: int, directory: Path, say: Say) -> None:
    run = final_run(tuning, trial, seed)
    title = f"Final: trial {trial.number} with seed {seed}"
    try:
        result = train(run, directory)
    except TRIAL_ERRORS as error:
        say(f"{title}: failed: {reason(error)}")
        return
    if result.trained:
        score = score_of_run(directory, tuning.headline.name, final_objective(tuning))
        say(f"{title}: {tuning.headline.name} {score:.4g}")


def final_directory(tuning: Tuning, number: int, seed: int) -> Path:
    """Return the run directory of a finalist with one seed."""
    return tuning.directory / "final" / f"trial_{number}" / f"seed_{seed}"


def final_objective(tuning: Tuning) -> str:
    """Return what finalists are ranked by."""
    return tuning.settings.final_objective or tuning.settings.objective


def final_run(tuning: Tuning, trial: FrozenTrial, seed: int) -> RunConfig:
    """Return a finalist's run at the full budget."""
    return tuning.composition.run({"seed": seed} | tuning.values(trial.params))


def rank(tuning: Tuning, study: optuna.Study) -> list[Finalist]:
    """Read the finalists' runs and order them by their average; those without any score come last.

    Raises
    ------
    UserError
        If all of them failed.
    """
    finalists = [_read_finalist(tuning, trial) for trial in choose_finalists(tuning, study)]
    if not any(finalist.scores for finalist in finalists):
        raise UserError(f"All runs in {tuning.directory / 'final'} failed: their failure.json files say why.")
    worst = -np.inf
    return sorted(
        finalists,
        key=lambda finalist: tuning.headline.sign * finalist.score if finalist.scores else worst,
        reverse=True,
    )


def _read_finalist(tuning: Tuning, trial: FrozenTrial) -> Finalist:
    scores, test_scores = {}, {}
    for seed in tuning.settings.final_seeds:
        directory = final_directory(tuning, trial.number, seed)
        if not (directory / "result.json").exists():
            continue
        scores[seed] = score_of_run(directory, tuning.headline.name, final_objective(tuning))
        test_scores[seed] = json.loads((directory / "result.json").read_text())[f"last/{tuning.headline.name}"]
    assert trial.value is not None
    average = AVERAGES[tuning.settings.final_average]
    return Finalist(trial.number, tuning.values(trial.params), trial.value, scores, test_scores, average)


def ranking_rows(tuning: Tuning, ranking: Sequence[Finalist]) -> list[dict[str, Any]]:
    """Return the table of the ranking, a row per finalist, the best first."""
    rows = []
    for place, finalist in enumerate(ranking, start=1):
        low, high = bootstrap_interval([list(finalist.scores.values())], statistic=finalist.average.of)
        numbers = {
            "score": finalist.score,
            "low": low,
            "high": high,
            "test": finalist.test_score,
            "trial_score": finalist.trial_score,
        }
        seeds = {"n_seeds": len(finalist.scores), "n_failed": len(tuning.settings.final_seeds) - len(finalist.scores)}
        rows.append({"rank": place, "trial": finalist.number} | numbers | seeds | dict(finalist.values))
    return rows


def write_results(tuning: Tuning, ranking: Sequence[Finalist]) -> Path:
    """Write ``ranking.csv``, ``best.json`` and the winner's experiment; return the experiment's file."""
    winner = ranking[0]
    name = f"tuned_{tuning.search}"
    experiment = tuning.directory / "experiment" / f"{name}.yaml"
    experiment.parent.mkdir(exist_ok=True)
    write_atomically(experiment, experiment_text(tuning, winner).encode())
    table = io.StringIO(newline="")
    rows = ranking_rows(tuning, ranking)
    writer = csv.DictWriter(table, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(tuning.directory / "ranking.csv", table.getvalue().encode())
    best = {
        "trial": winner.number,
        "values": dict(winner.values),
        "metric": tuning.headline.name,
        "better": tuning.headline.better,
        "objective": final_objective(tuning),
        "score": winner.score,
        "scores": {str(seed): score for seed, score in winner.scores.items()},
        "test_score": winner.test_score,
        "test_scores": {str(seed): score for seed, score in winner.test_scores.items()},
        "experiment": name,
    }
    write_atomically(tuning.directory / "best.json", (json.dumps(best, indent=2) + "\n").encode())
    return experiment


def experiment_text(tuning: Tuning, winner: Finalist) -> str:
    """Return a preset that composes the winner's runs, whatever becomes of other presets.

    It holds everything that differs from the schemas' defaults, and leaves out the settings in ``configs/tuned``.
    """
    run = tuning.composition.run(winner.values)
    config = plain(run)
    content: dict[str, Any] = {}
    defaults: list[dict[str, Any]] = []
    for group in ("env", "algo"):
        name, settings = preset(group, getattr(run, group), config[group])
        content[group] = settings
        defaults += [{f"override /{group}": name}] if name else []
    content = {key: value for key, value in content.items() if value}
    content |= {"budget": config["budget"], "evaluation": config["evaluation"]}
    whole = {"defaults": [*defaults, {"override /tuned": None}]} | content
    header = (
        "# @package _global_\n"
        f"# Trial {winner.number} of {tuning.directory.name}: {tuning.headline.name} {winner.score:.6g} on validation, "
        f"{winner.test_score:.6g} on test\n"
        f"# ({winner.average.name}s over the seeds {', '.join(map(str, winner.scores))}).\n"
    )
    return header + str(yaml.safe_dump(whole, sort_keys=False))


def preset(group: str, options: Any, values: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the choice of a config group that has the schema of ``options``, and where it differs from its defaults.

    A user's own options without a schema have no such choice: then it is None, and all values count.
    """
    for name in GROUPS[group]:
        schema = schema_of(group, name)
        if type(options) is schema:
            usual = {entry.name: default_of(entry) for entry in dataclasses.fields(schema)}
            return name, {key: value for key, value in values.items() if value != usual[key]}
    return None, dict(values)


def default_of(entry: dataclasses.Field[Any]) -> Any:
    """Return an option's default as plain containers; a schema as a whole may not be content with its defaults."""
    if entry.default_factory is dataclasses.MISSING:
        return entry.default
    default = entry.default_factory()
    return dataclasses.asdict(default) if dataclasses.is_dataclass(default) else default  # type: ignore[arg-type]
