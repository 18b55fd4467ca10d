import csv
import json

import numpy as np
import pytest
import torch

from bioppo import UserError
from bioppo.algorithms.baselines.config import CMAESConfig, RandomConfig
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.configs.schema import CheckpointConfig, EvaluationConfig, RunConfig
from bioppo.envs.batched import NonFiniteError
from bioppo.envs.kinetic.config import KineticConfig
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint
from bioppo.training import train as train_module
from bioppo.training.display import SilentDisplay
from bioppo.training.saved import evaluate_saved
from bioppo.training.trackers import NoTrackerConfig, TensorBoardConfig
from bioppo.training.train import train


def run_config(**changes):
    """Return a run of six updates that takes a second: eight copies, short networks, a fixed threshold."""
    algorithm = changes.pop("algo", None) or PPOConfig(
        n_steps=5, batch_size=20, n_epochs=2, hidden_sizes=[16], learning_rate=1e-3, log_std_init=-0.5
    )
    values = {
        "env": KineticConfig(num_envs=8, lambda_part=-20.0),
        "algo": algorithm,
        "tracker": NoTrackerConfig(),
        "budget": 48 * 6,
        "evaluation": EvaluationConfig(episodes=12, every=100, baselines=False),
        "checkpoint": CheckpointConfig(seconds=0),
        "device": "cpu",
    }
    return RunConfig(**(values | changes))


class Stop(Exception):  # noqa: N818  # an ending, not an error
    """Ends a run early, as a pruned trial does."""


def stop_at(calls):
    def report(simulator_calls, evaluation):
        if simulator_calls >= calls:
            raise Stop

    return report


def zeros(tensors):
    return {key: torch.zeros_like(value) for key, value in tensors.items()}


def read_rows(directory):
    with (directory / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def outcome(directory):
    """Return the files that are a function of config and seed alone."""
    return [(directory / name).read_bytes() for name in ("progress.csv", "evaluations.csv", "result.json")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    directory = tmp_path_factory.mktemp("unbroken")
    train(run_config(), directory)
    return directory


def test_a_run_leaves_what_the_contract_names(unbroken):
    names = {path.name for path in unbroken.iterdir()}
    assert names >= {
        "config.yaml", "provenance.json", "progress.csv", "timing.csv", "evaluations.csv", "tables",
        "checkpoints", "lock", "result.json",
    }  # fmt: skip
    assert "failure.json" not in names
    assert {path.name for path in (unbroken / "checkpoints").iterdir()} == {"last.pt", "previous.pt", "best.pt"}
    result = json.loads((unbroken / "result.json").read_text())
    assert result["updates"] == 6
    assert {"last/incidence", "best/incidence", "random/incidence"} - result.keys() == {"random/incidence"}
    provenance = json.loads((unbroken / "provenance.json").read_text())
    assert provenance["metrics"][0]["name"] == "incidence"
    assert provenance["environment"]["lambda_part"] == -20.0
    rows = read_rows(unbroken)
    assert [row["update"] for row in rows] == [str(update) for update in range(7)]
    assert float(rows[-1]["environment/lambda_max_q50"]) < 0
    assert [bool(row["evaluation/incidence"]) for row in rows] == [True, False, True, False, True, False, True]


def test_equal_configs_give_identical_files(unbroken, tmp_path):
    train(run_config(), tmp_path)
    assert outcome(tmp_path) == outcome(unbroken)
    other = tmp_path / "other"
    train(run_config(seed=1), other)
    assert outcome(other)[0] != outcome(unbroken)[0]


@pytest.mark.parametrize("algo", [None, RandomConfig(), CMAESConfig(population_size=12)])
def test_a_stopped_run_continues_exactly(tmp_path, algo):
    config = run_config(algo=algo)
    train(config, tmp_path / "unbroken")
    broken = tmp_path / "broken"
    for calls in (90, 200):
        with pytest.raises(Stop):
            train(config, broken, report=stop_at(calls))
        assert json.loads((broken / "failure.json").read_text())["error"] == "Stop"
    result = train(config, broken)
    assert result.trained
    assert outcome(broken) == outcome(tmp_path / "unbroken")
    assert not (broken / "failure.json").exists()


@pytest.mark.parametrize("part", ["learner", "environment", "random", "updates", "best_score", "tables"])
def test_leaving_any_part_out_of_the_checkpoint_is_noticed(unbroken, tmp_path, part):
    with pytest.raises(Stop):
        train(run_config(), tmp_path, report=stop_at(200))
    last = tmp_path / "checkpoints" / "last.pt"
    content = read_checkpoint(last)
    fresh = {
        "learner": lambda: content["learner"] | {"policy": zeros(content["learner"]["policy"])},
        "environment": lambda: content["environment"] | {"simulator_calls": 0},
        "random": lambda: content["random"] | {"torch": torch.Generator().manual_seed(1).get_state()},
        "updates": lambda: 0,
        "best_score": lambda: 2.0,
        "tables": lambda: content["tables"] | {"progress": {"columns": ["update"], "n_rows": 1}},
    }  # fmt: skip
    content[part] = fresh[part]()
    write_checkpoint(last, content)
    train(run_config(), tmp_path)
    assert outcome(tmp_path) != outcome(unbroken) or part == "best_score"
    if part == "best_score":
        # No later policy can beat a score of 2: what was best before the stop stays so.
        assert json.loads((tmp_path / "result.json").read_text())["best_simulator_calls"] <= 200


def test_evaluating_more_often_changes_nothing_else(unbroken, tmp_path):
    often = run_config(evaluation=EvaluationConfig(episodes=30, every=1, baselines=True))
    train(often, tmp_path)
    for row, other in zip(read_rows(unbroken), read_rows(tmp_path), strict=True):
        trained = {key: value for key, value in row.items() if not key.startswith("evaluation/")}
        assert trained == {key: other[key] for key in trained}
    one, many = (read_checkpoint(path / "checkpoints" / "last.pt")["learner"] for path in (unbroken, tmp_path))
    assert all(torch.equal(one["policy"][key], many["policy"][key]) for key in one["policy"])


def test_a_finished_run_is_not_trained_again(unbroken):
    before = (unbroken / "progress.csv").stat().st_mtime_ns
    result = train(run_config(), unbroken)
    assert not result.trained
    assert result.scalars == json.loads((unbroken / "result.json").read_text())
    assert (unbroken / "progress.csv").stat().st_mtime_ns == before


def test_another_config_is_refused(unbroken):
    with pytest.raises(UserError, match=r"algo.gamma is 0.99 there and 0.9 here"):
        train(run_config(algo=PPOConfig(n_steps=5, batch_size=20, n_epochs=2, hidden_sizes=[16], learning_rate=1e-3,
                                        log_std_init=-0.5, gamma=0.9)), unbroken)  # fmt: skip


def test_a_broken_checkpoint_is_said_and_the_one_before_continues_exactly(unbroken, tmp_path):
    with pytest.raises(Stop):
        train(run_config(), tmp_path, report=stop_at(200))
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    notes = []

    class Notes(SilentDisplay):
        def note(self, text):
            notes.append(text)

    train(run_config(), tmp_path, display=Notes())
    assert "last.pt is damaged" in notes[0]
    assert "previous.pt" in notes[0]
    assert outcome(tmp_path) == outcome(unbroken)


def test_a_lost_best_checkpoint_is_said(tmp_path):
    with pytest.raises(Stop):
        train(run_config(), tmp_path, report=stop_at(200))
    (tmp_path / "checkpoints" / "best.pt").unlink()
    with pytest.raises(UserError, match=r"best.pt does not exist. It cannot be made again: delete"):
        train(run_config(), tmp_path)


def test_a_change_of_threads_is_said(tmp_path):
    with pytest.raises(Stop):
        train(run_config(), tmp_path, report=stop_at(200))
    notes = []

    class Notes(SilentDisplay):
        def note(self, text):
            notes.append(text)

    train(run_config(threads=2), tmp_path, display=Notes())
    assert "threads=1 and goes on with 2" in notes[0]


def test_numbered_checkpoints_stay_and_are_counted(tmp_path):
    train(run_config(checkpoint=CheckpointConfig(seconds=1000, every=40, keep=2)), tmp_path)
    assert sorted(path.stem for path in (tmp_path / "checkpoints").glob("calls_*")) == [
        "calls_000000000248", "calls_000000000296",
    ]  # fmt: skip


def test_a_scalar_that_is_not_finite_stops_the_run_with_its_checkpoint_intact(tmp_path, monkeypatch):
    original = train_module.build_learner

    def breaking(*arguments, **keywords):
        learner = original(*arguments, **keywords)
        update, count = learner.update, iter(range(100))

        def broken_update(progress):
            scalars = update(progress)
            return scalars | {"train/loss": np.nan} if next(count) == 3 else scalars

        learner.update = broken_update
        return learner

    monkeypatch.setattr(train_module, "build_learner", breaking)
    with pytest.raises(NonFiniteError, match=r"train/loss is nan after update 4 \(200 simulator calls\)"):
        train(run_config(), tmp_path)
    assert read_checkpoint(tmp_path / "checkpoints" / "last.pt")["updates"] == 3
    assert "train/loss is nan" in json.loads((tmp_path / "failure.json").read_text())["message"]


def test_tensorboard_holds_the_scalars_of_progress(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = run_config(tracker=TensorBoardConfig())
    with pytest.raises(Stop):
        train(config, tmp_path, report=stop_at(200))
    train(config, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = {event.step: event.value for event in events.Scalars("environment/reward_mean")}
    written = {
        int(row["simulator_calls"]): float(row["environment/reward_mean"])
        for row in read_rows(tmp_path)
        if row["environment/reward_mean"]
    }
    assert shown.keys() == written.keys()
    assert list(shown.values()) == pytest.approx([written[step] for step in shown], rel=1e-6)


def test_a_saved_run_is_evaluated_from_its_directory_alone(unbroken):
    result = json.loads((unbroken / "result.json").read_text())
    config = run_config()
    before = torch.get_rng_state()
    scores = [
        evaluate_saved(config, unbroken, checkpoint=checkpoint, episodes=40, seed=seed, deterministic=False).scalars
        for checkpoint, seed in (("last", 1), ("last", 1), ("last", 2), ("best", 1))
    ]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]
    assert scores[0].keys() == {key.removeprefix("last/") for key in result if key.startswith("last/")}
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(UserError, match="choose one of best, last, previous"):
        evaluate_saved(config, unbroken, checkpoint="lost", episodes=4, seed=0, deterministic=False)
