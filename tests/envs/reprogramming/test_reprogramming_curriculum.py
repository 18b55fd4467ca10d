import json
from dataclasses import replace

import numpy as np
import pytest

from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv
from bioppo.envs.reprogramming.episodes.curriculum import Curriculum, make_schedule
from bioppo.envs.reprogramming.options import CurriculumOptions
from bioppo.envs.reprogramming.task import ReprogrammingTask


@pytest.fixture
def make(golden_table):
    """Return a function that makes a training environment with a curriculum on the golden table."""

    def build(num_envs=50, seed=0, **options):
        config = ReprogrammingConfig(curriculum=CurriculumOptions(**options))
        return ReprogrammingVectorEnv(
            config, num_envs=num_envs, seed=seed, task=ReprogrammingTask(golden_table, config)
        )

    return build


def play(environment, steps, seed=0):
    """Take random allowed steps and yield the environment after each."""
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        masks = environment.action_masks()
        environment.step(np.argmax(masks * generator.random(masks.shape), axis=1))
        yield environment


def drive(curriculum, episodes, steps_each=10):
    """Tell a curriculum of episodes, one at a time, and return the steps before each of its phases."""
    progress, recent = curriculum.begin()
    starts = [
        int(progress["phase_start"])
        for success in episodes
        if curriculum.advance(progress, recent, steps_each, np.array([success]))
    ]
    return [0, *starts], int(progress["phase"])


def test_the_schedule_is_the_golden_one(golden_folder):
    expected = json.loads((golden_folder / "metrics.json").read_text())["curriculum"]
    options = CurriculumOptions(kind="nearest_types_time", targets_per_phase=expected["targets_per_phase"])
    schedule = make_schedule(options, expected["n_types"], 20)
    assert len(schedule.targets) == expected["expected_phases"]
    assert list(schedule.targets) == expected["targets_in_phase"]
    assert list(schedule.horizons) == expected["max_steps"]
    assert list(schedule.starts) == expected["phase_start_steps"]
    assert schedule.finish == expected["finish_step"]


def test_phases_of_fixed_length_begin_on_time(golden_folder):
    options = CurriculumOptions(kind="nearest_types_time")
    curriculum = Curriculum(options, make_schedule(options, 30, 20), 0)
    starts, phase = drive(curriculum, [False] * 200, 10_000)
    assert starts == json.loads((golden_folder / "metrics.json").read_text())["curriculum"]["phase_start_steps"]
    assert phase == 4


def test_success_begins_the_next_phase_and_time_does_at_last():
    options = CurriculumOptions(kind="nearest_types_success", window=20, max_phase_steps=1000)
    curriculum = Curriculum(options, make_schedule(options, 30, 20), 0)
    assert drive(curriculum, [True] * 100)[0] == [0, 200, 400, 600, 800]
    assert drive(curriculum, [True] * 19)[1] == 0
    assert drive(curriculum, ([True] * 3 + [False]) * 20)[0] == [0]  # three in four are too few
    assert drive(curriculum, [False] * 250)[0] == [0, 1000, 2000]
    assert drive(curriculum, [False] * 10 + [True] * 20)[0] == [0, 260]  # 16 of the last 20


def test_the_gate_opens_after_half_a_window_and_no_further_than_there_are_paths():
    options = CurriculumOptions(kind="bfs_gated", window=20, max_phase_steps=10)
    curriculum = Curriculum(options, make_schedule(options, 30, 20), 5)
    starts, phase = drive(curriculum, [True] * 100)
    assert starts == [0, 100, 200, 300]
    assert curriculum.gate(0) == 2
    assert curriculum.gate(phase) == 5
    assert drive(curriculum, [False] * 100)[0] == [0]


def test_near_types_come_first(make):
    environment = make(kind="nearest_types_time", targets_per_phase=1, first_phase_steps=1000, phase_step_increase=500)
    task = environment.task
    environment.reset(seed=0)
    assert environment.starts.horizon(environment.phase) == 20
    horizons = set()
    for count, _ in enumerate(play(environment, 40), start=1):
        began = environment.state["elapsed_steps"] == 0
        own = task.cluster_of_cell[environment.state["start"][began]]
        nearest = environment.state["target"][began] == task.nearest[own, 0]
        assert environment.phase == (count * 50 >= 1000)
        if environment.phase == 0:
            assert nearest.all()
        horizons |= set(environment.state["limit"][began].tolist())
    assert horizons == {20, 24}
    assert environment.training_scalars()["phase"] == 2
    assert environment.facts()["phase_starts"] == [0, 1000]
    assert environment.facts()["last_phase_ends"] == 2500


def test_gated_episodes_are_near_and_some_are_not(make):
    environment = make(2000, kind="bfs_gated", full_share=0.2)
    environment.reset(seed=0)
    state, task = environment.state, environment.task
    distance = task.distance_train[state["start"], state["target"]]
    pairs = task.pairs(2, 28)
    beyond = task.distance_train[pairs // 3, pairs % 3]
    expected = 0.2 * ((beyond > 2) | (beyond < 0)).mean()
    assert expected > 0.05
    assert ((distance > 2) | (distance < 0)).mean() == pytest.approx(expected, abs=0.02)


def test_only_gated_episodes_open_the_gate(make):
    environment = make(kind="bfs_gated", window=40, full_share=1.0)
    environment.reset(seed=0)
    for _ in play(environment, 60):
        assert environment.progress["phase_episodes"] == 0
    gated = make(kind="bfs_gated", window=40, full_share=0.0, success=0.05)
    gated.reset(seed=0)
    assert max(each.phase for each in play(gated, 60)) > 0


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "nearest_types_time", "targets_per_phase": 1, "first_phase_steps": 1000},
        {"kind": "nearest_types_success", "targets_per_phase": 1, "window": 60, "success": 0.05},
        {"kind": "bfs_gated", "window": 40, "success": 0.2},
    ],
)
def test_a_continued_training_stands_where_it_stopped(make, options):
    environment, other = make(**options), make(seed=9, **options)
    environment.reset(seed=0)
    for _ in play(environment, 12):
        pass
    other.set_state(environment.get_state())
    assert environment.progress["steps"] == 600
    for one, two in zip(play(environment, 40, seed=1), play(other, 40, seed=1), strict=True):
        assert one.progress == two.progress
        for key in one.state:
            np.testing.assert_array_equal(one.state[key], two.state[key])
    assert environment.phase > 0


def test_evaluations_have_no_curriculum(golden_table):
    config = ReprogrammingConfig(curriculum=CurriculumOptions(kind="nearest_types_time", targets_per_phase=1))
    environment = ReprogrammingVectorEnv(
        config, num_envs=100, seed=0, split="test", task=ReprogrammingTask(golden_table, config)
    )
    environment.reset(seed=0)
    own = environment.task.cluster_of_cell[environment.state["start"]]
    assert (environment.state["target"] != environment.task.nearest[own, 0]).any()
    assert environment.horizon == 20
    assert replace(config).curriculum.kind == "nearest_types_time"
