"""The real command, in this process or in one of its own: counting, continuing, pruning, sharing, and the winner."""

import dataclasses
import itertools
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from bioppo import UserError
from bioppo.cli import tune as command
from bioppo.envs.gymnasium.config import GymnasiumConfig
from bioppo.envs.perturbation.config import PerturbationConfig
from bioppo.tuning.objective import learning_curve
from bioppo.tuning.phases import preset
from bioppo.tuning.search_space import SearchConfig
from bioppo.tuning.storage import claim
from bioppo.tuning.study import make_pruner

BETTER_OR_HOPELESS = """\
space:
  env.lambda_part: {kind: categorical, choices: [-0.001, -0.002, -0.003, -1.0e+9]}
n_trials: 10
sampler: random
trial_budget: 120
top_k: 1
final_seeds: [1]
"""

DIVERGING = """\
space:
  algo.learning_rate: {kind: categorical, choices: [1.0e-3, 1.0e+30]}
n_trials: 6
sampler: random
pruner: none
trial_budget: 100
top_k: 2
final_seeds: [1]
"""


def test_the_winner_names_what_differs_from_defaults_even_where_there_are_none():
    chosen = GymnasiumConfig(id="CartPole-v1")  # has no usable default
    assert preset("env", chosen, dataclasses.asdict(chosen)) == (
        "gymnasium",
        {"name": "CartPole-v1", "id": "CartPole-v1"},
    )
    nested = PerturbationConfig(horizon=3)
    assert preset("env", nested, dataclasses.asdict(nested)) == ("perturbation", {"horizon": 3})


def outcome(directory):
    """Return the files of all runs of a study that are a function of config and seed alone."""
    names = ("progress.csv", "evaluations.csv", "result.json")
    files = [path for name in names for path in directory.glob(f"*/*/*/{name}")]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_trials_are_counted_in_total_and_do_not_depend_on_restarts(workplace, tune, read_trials):
    words = (workplace(), "final_seeds=[1]")
    whole = tune(*words, "results=whole", "n_trials=4")
    parts = tune(*words, "results=parts", "n_trials=2")
    assert len(read_trials(parts)) == 2
    times = {path: path.stat().st_mtime_ns for path in parts.glob("trials/*/*/progress.csv")}
    assert tune(*words, "results=parts", "n_trials=4") == parts
    trials = read_trials(parts)
    assert [trial.params for trial in trials] == [trial.params for trial in read_trials(whole)]
    assert len({json.dumps(trial.params) for trial in trials}) == 4
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert outcome(parts) == outcome(whole)
    assert tune(*words, "results=parts", "n_trials=4") == parts
    assert len(read_trials(parts)) == 4


def test_a_killed_search_goes_on_with_the_trial_it_was_in(workplace, tune, start_search, read_trials):
    search = workplace()
    unbroken = tune(search, "results=unbroken", "trial_budget=600")
    words = (search, "results=killed", "trial_budget=600")
    process = start_search(*words)
    pattern = f"killed/tune/{unbroken.name}/trials/1/seed_0/progress.csv"
    wait_until(lambda: any(path.read_text().count("\n") > 4 for path in Path().glob(pattern)), process)
    process.kill()
    process.communicate()
    killed = Path("killed", "tune", unbroken.name)
    assert [trial.state for trial in read_trials(killed)] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert not (killed / "trials/1/seed_0/result.json").exists()
    assert tune(*words) == killed
    assert [trial.state for trial in read_trials(killed)] == [TrialState.COMPLETE] * 3
    attempts = json.loads((killed / "trials/1/seed_0/provenance.json").read_text())["attempts"]
    assert len(attempts) == 2
    assert outcome(killed) == outcome(unbroken)
    before, after = ([trial.intermediate_values for trial in read_trials(path)] for path in (unbroken, killed))
    assert before == after
    assert (killed / "best.json").read_bytes() == (unbroken / "best.json").read_bytes()


def wait_until(happened, process, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing happened in {seconds} s: {process.communicate()}")


def test_hopeless_trials_are_pruned_and_keep_their_directories(workplace, tune, read_trials):
    directory = tune(workplace("prune", BETTER_OR_HOPELESS), without=["env.lambda_part=-20"])
    trials = read_trials(directory)
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    complete_before_pruning = 5  # Optuna's median pruner wants so many first
    hopeless_later = [
        trial
        for trial in trials
        if trial.params["env.lambda_part"] == -1e9
        and sum(earlier.state == TrialState.COMPLETE for earlier in trials[: trial.number]) >= complete_before_pruning
    ]
    assert hopeless_later
    assert {trial.number for trial in hopeless_later} <= {trial.number for trial in pruned}
    for trial in hopeless_later:
        run = directory / "trials" / str(trial.number) / "seed_0"
        assert trial.last_step == 1
        assert (run / "checkpoints" / "best.pt").exists()
        assert not (run / "result.json").exists()
        assert json.loads((run / "failure.json").read_text())["error"] == "TrialPruned"
    assert json.loads((directory / "best.json").read_text())["values"]["env.lambda_part"] > -1


def test_the_pruner_waits_for_trials_and_for_a_share_of_the_evaluations():
    import optuna

    settings = SearchConfig(pruner_trials=10, pruner_warmup=0.4)
    study = optuna.create_study(direction="maximize", pruner=make_pruner(settings, lambda: 10))
    pruned = []
    for number in range(12):
        trial = study.ask()
        for step in range(1, 11):
            trial.report(float(number < 9), step)
            if trial.should_prune():
                pruned.append((number, step))
                break
        study.tell(trial, float(number < 9))
    assert pruned == [(10, 4), (11, 4)]  # ten others have ended, and four tenths of the budget are spent


def test_areas_from_zero_have_ten_evaluations_and_finals_may_be_ranked_otherwise(workplace, tune, read_trials):
    settings = ["objective=area_from_zero", "final_objective=final", "final_average=mean", "trial_budget=800"]
    directory = tune(workplace(), *settings, "n_trials=1", "final_seeds=[1,2,3]", "budget=100")
    (trial,) = read_trials(directory)
    assert list(trial.intermediate_values) == list(range(1, 11))
    calls, values = learning_curve(directory / "trials/0/seed_0", "incidence")
    assert len(calls) == 11
    np.testing.assert_allclose(calls[1:], 80 * np.arange(1, 11), atol=60)  # at the end of an update
    points = [(0.0, 0.0), *zip(calls[1:], values[1:], strict=True)]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert trial.value == pytest.approx(area / calls[-1])
    best = json.loads((directory / "best.json").read_text())
    scores = [last_evaluation(directory / f"final/trial_0/seed_{seed}") for seed in (1, 2, 3)]
    assert list(best["scores"].values()) == scores
    assert best["objective"] == "final"
    assert best["score"] == pytest.approx(sum(scores) / 3)
    assert "(means over the seeds 1, 2, 3)" in next((directory / "experiment").iterdir()).read_text()


def test_without_a_pruner_every_trial_ends(workplace, tune, read_trials):
    words = ("pruner=none", "n_trials=7")
    directory = tune(workplace("prune", BETTER_OR_HOPELESS), *words, without=["env.lambda_part=-20"])
    assert {trial.state for trial in read_trials(directory)} == {TrialState.COMPLETE}


def test_a_trial_is_the_mean_of_its_seeds_and_reports_one_after_the_other(workplace, tune, read_trials):
    directory = tune(workplace(), "seeds=[3,4]", "n_trials=1", "final_seeds=[1]")
    (trial,) = read_trials(directory)
    scores = [last_evaluation(directory / f"trials/0/seed_{seed}") for seed in (3, 4)]
    assert scores[0] != scores[1]
    assert trial.value == pytest.approx(sum(scores) / 2)
    # Rollouts of 40 calls pass the marks 50, 100, 150, 200 of `evaluation.every`; seed 4 goes on at 5.
    assert list(trial.intermediate_values) == [1, 2, 3, 4, 6, 7, 8, 9]
    assert trial.intermediate_values[4] == scores[0]
    assert trial.intermediate_values[9] == pytest.approx(trial.value)


def last_evaluation(run):
    lines = [line.split(",") for line in (run / "progress.csv").read_text().splitlines()]
    column = lines[0].index("evaluation/incidence")
    return float([line[column] for line in lines[1:] if line[column]][-1])


def test_a_trial_that_diverges_is_counted_and_the_search_goes_on(workplace, tune, read_trials, capsys):
    directory = tune(workplace("diverging", DIVERGING))
    states = {trial.params["algo.learning_rate"]: trial.state for trial in read_trials(directory)}
    assert states == {1e-3: TrialState.COMPLETE, 1e30: TrialState.FAIL}
    assert len(read_trials(directory)) == 6
    assert "failed: " in capsys.readouterr().out


def test_a_search_of_which_nothing_comes_says_why(workplace, tune):
    text = DIVERGING.replace("1.0e-3, ", "1.0e+20, ")
    with pytest.raises(UserError, match=r"None of the 2 trials in .* came to its end: .* The first that failed: "):
        tune(workplace("hopeless", text), "n_trials=2")


def test_the_winner_is_trained_again_from_its_file_exactly(workplace, tune, bioppo):
    directory = tune(workplace(), "algo.gamma=0.9", "final_seeds=[1,2,5]")
    best = json.loads((directory / "best.json").read_text())
    assert best["experiment"] == "tuned_small"
    ranking = (directory / "ranking.csv").read_text().splitlines()
    assert ranking[0].startswith("rank,trial,score,low,high,test,trial_score,n_seeds,n_failed,algo.learning_rate")
    assert [line.split(",")[0] for line in ranking[1:]] == ["1", "2"]
    words = ["train", "--config-dir", str(directory), "experiment=tuned_small", "seed=2", "device=cpu"]
    done = bioppo(*words, "hydra.run.dir=again")
    assert done.returncode == 0, done.stderr
    finalist = directory / "final" / f"trial_{best['trial']}" / "seed_2"
    for name in ("progress.csv", "evaluations.csv", "result.json"):
        assert Path("again", name).read_bytes() == (finalist / name).read_bytes()
    assert last_evaluation(Path("again")) == best["scores"]["2"]
    # The interquartile mean of three seeds: the middle one counts whole, the outer ones a quarter each.
    low, middle, high = sorted(best["scores"].values())
    assert best["score"] == pytest.approx((low / 4 + middle + high / 4) / 1.5)


def test_two_processes_share_one_journal(workplace, start_search, read_trials):
    search = workplace()
    process = start_search(search, "workers=2", "n_trials=6", "trial_budget=600", "pruner=none")
    output, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    (directory,) = Path().glob("results/tune/*")
    trials = read_trials(directory)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert len({json.dumps(trial.params) for trial in trials}) == 6
    owners = [path.read_text() for path in directory.glob("trials/*/seed_0/lock")]
    assert len(owners) == 6
    assert len(set(owners)) == 2
    assert sorted(line.partition(":")[0] for line in output.splitlines() if line.startswith("Trial ")) == [
        f"Trial {number}" for number in range(6)
    ]
    assert output.count("Next: ") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_process_outlives_the_one_that_started_it(workplace, start_search, number, status):
    process = start_search(workplace(), "workers=2", "n_trials=2", "trial_budget=1000000", "pruner=none")
    pattern = "results/tune/*/trials/*/seed_0/checkpoints/last.pt"
    wait_until(lambda: len(list(Path().glob(pattern))) == 2, process)
    locks = list(Path().glob("results/tune/*/trials/*/lock"))
    assert [claim(lock) for lock in locks] == [None, None]
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    if number == signal.SIGTERM:
        assert error.startswith("bioppo: Stopped, and saved in results/tune/")
        assert error.count("\n") == 1
    end = time.monotonic() + 60
    while time.monotonic() < end and locks:
        free = [lock for lock in locks if (held := claim(lock)) and not held.close()]
        locks = [lock for lock in locks if lock not in free]
    assert not locks


def test_a_key_that_is_typed_is_not_searched(workplace, tune, read_trials):
    directory = tune(workplace(), "algo.n_epochs=2", "n_trials=1", "final_seeds=[1]", "display=off")
    (trial,) = read_trials(directory)
    assert set(trial.params) == {"algo.learning_rate", "algo.hidden_sizes"}
    assert "n_epochs: 2\n" in (directory / "trials/0/seed_0/config.yaml").read_text()


def test_a_timeout_begins_no_further_trial(workplace, tune, read_trials):
    directory = tune(workplace(), "timeout=0.2", "n_trials=500", "final_seeds=[1]")
    assert 1 <= len(read_trials(directory)) < 10


def test_directories_and_studies_that_do_not_belong_together_are_refused(workplace, tune):
    directory = tune(workplace(), "n_trials=1", "final_seeds=[1]")
    (directory / "study.journal").unlink()
    with pytest.raises(UserError, match="does not belong to"):
        tune("search=small", "n_trials=1")
    shutil.rmtree(directory)
    assert tune("search=small", "n_trials=1", "final_seeds=[1]") == directory


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "search=... is missing: write search=NAME"),
        ("search=smal", "search=smal does not exist: did you mean small?"),
        ("search=small n_trails=3", "There is no key 'n_trails': did you mean n_trials"),
        ("search=small n_trials=0", "n_trials=0: give a value of at least 1."),
        ("search=small n_trials=many", "search.n_trials=many: Value 'many' of type 'str' could not be converted"),
        ("search=small sampler=grid", "sampler=grid: choose one of tpe, random, cmaes."),
        ("search=small algo.gama=1", "There is no key 'algo.gama': did you mean algo.gamma"),
        ("search=small algo.gamma=2", "algo.gamma=2.0: give a value of at most 1."),
        ("search=typo", "space: there is no key 'algo.n_epoch' to vary: did you mean algo.n_epochs"),
        (
            "search=small algo.learning_rate=1 algo.n_epochs=1 algo.hidden_sizes=[8]",
            "search=small: every key of its space is set on the command line",
        ),
        ("search=small --cfg job", "bioppo tune has no option --cfg"),
        ("search=small --config-dir lost", "--config-dir lost: there is no such folder."),
        ("search=small storage=nowhere", "storage=nowhere cannot be opened"),
        ("search=small storage=sqlite:////lost/place.db", "(unable to open database file): check the URL"),
        ("search=small device=cuda:99", "device=cuda:99"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(workplace, run_words, capsys, words, sentence):
    from bioppo.cli.main import main

    workplace()
    workplace("typo", "space: {algo.n_epoch: {kind: int, low: 1, high: 2}}\n")
    assert main(["tune", *run_words, *words.split()]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert shown.err.count("\n") == 1
    assert not list(Path().glob("results/tune/*/trials"))


def test_a_password_is_never_shown(workplace, run_words):
    words = "search=small storage=postgresql+psycopg://me:secret@127.0.0.1:1/optuna".split()
    workplace()
    with pytest.raises(UserError, match=r"storage=postgresql\+psycopg://127.0.0.1:1/optuna cannot be opened") as caught:
        command.main([*run_words, *words])
    assert "secret" not in str(caught.value)
    assert not any("secret" in path.read_text() for path in Path("results").rglob("*") if path.is_file())


def test_help_names_every_setting(capsys):
    assert command.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("trial_budget", "final_seeds", "storage", "--config-dir"))
