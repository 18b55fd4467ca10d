import logging

import numpy as np
import pytest

from bioppo.envs.kinetic import calibration, task
from bioppo.envs.kinetic.calibration import (
    ThresholdRule,
    calibrate,
    note_easy_threshold,
    sample_log_uniform,
    sample_uniform_saturation,
)
from bioppo.envs.kinetic.config import KineticConfig
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.simulator import KineticSimulator

BOUNDS = (-25.0, 3.0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def few_sets(monkeypatch):
    monkeypatch.setattr(calibration, "CALIBRATION_SETS", 400)


def test_log_uniform_sets_fill_the_box(golden_simulators):
    sets = sample_log_uniform(golden_simulators[0], 500, np.random.default_rng(0), bounds=BOUNDS)
    assert sets.shape == (500, 258)
    assert -25 <= sets.min() < -24.9
    assert 2.9 < sets.max() <= 3
    assert np.abs(sets.mean(axis=0) + 11).max() < 5 * 28 / np.sqrt(12 * 500)


def test_uniform_saturations_are_uniform(golden_simulators):
    simulator = golden_simulators[0]
    sets = sample_uniform_saturation(simulator, 2000, np.random.default_rng(0), bounds=BOUNDS)
    saturation = 1 / (1 + np.exp(sets - simulator.ln_concentration))
    quantiles = np.quantile(saturation, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles, [0.1, 0.5, 0.9], atol=0.005)
    narrow = sample_uniform_saturation(simulator, 200, np.random.default_rng(0), bounds=(-9.0, -8.0))
    assert narrow.min() == -9
    assert narrow.max() == -8


def test_a_saturation_of_zero_is_clipped(golden_simulators):
    class Zero:
        def random(self, shape):
            return np.zeros(shape)

    assert np.all(sample_uniform_saturation(golden_simulators[0], 2, Zero(), bounds=BOUNDS) == 3)


def test_shares_of_the_golden_state(golden_simulators):
    simulator = golden_simulators[0]
    largest = simulator.max_eigenvalue(sample_log_uniform(simulator, 5000, np.random.default_rng(1), bounds=BOUNDS))
    assert 0.51 <= np.mean(largest < 0) <= 0.56
    assert 0.0008 <= np.mean(largest <= -20.4) <= 0.0058
    drawn = sample_uniform_saturation(simulator, 5000, np.random.default_rng(1), bounds=BOUNDS)
    assert 0.13 <= np.mean(simulator.max_eigenvalue(drawn) <= -20) <= 0.18


@pytest.mark.parametrize(
    ("rule", "expected", "tolerance"), [("auto_log_uniform", -20.4, 0.3), ("auto_saturation", -38.0, 1.0)]
)
def test_thresholds_of_the_golden_state(cache, golden_simulators, rule, expected, tolerance):
    threshold = calibrate(golden_simulators[0], rule, bounds=BOUNDS)
    # Sampling error: 60 of 20,000 sets lie below.
    assert threshold == pytest.approx(expected, abs=tolerance)
    assert threshold == round(threshold, 1)


def test_the_threshold_is_the_quantile_of_the_rule(cache, few_sets, golden_simulators):
    simulator = golden_simulators[0]
    found = {rule: calibrate(simulator, rule, bounds=BOUNDS) for rule in ThresholdRule}
    sets = sample_uniform_saturation(simulator, 400, np.random.default_rng(0), bounds=BOUNDS)
    expected = np.quantile(simulator.max_eigenvalue(sets), 0.003)
    assert found[ThresholdRule.AUTO_SATURATION] == pytest.approx(expected, abs=0.05)
    assert found[ThresholdRule.AUTO_LOG_UNIFORM] > found[ThresholdRule.AUTO_SATURATION] + 5


def test_a_threshold_is_kept_by_state_rule_and_bounds(cache, few_sets, golden_simulators, monkeypatch):
    calls = []
    evaluate = KineticSimulator.max_eigenvalue

    def counted(self, sets):
        calls.append(len(sets))
        return evaluate(self, sets)

    monkeypatch.setattr(KineticSimulator, "max_eigenvalue", counted)
    first, second = golden_simulators
    threshold = calibrate(first, "auto_saturation", bounds=BOUNDS)
    assert calibrate(first, "auto_saturation", bounds=BOUNDS) == threshold
    assert calls == [400]
    calibrate(second, "auto_saturation", bounds=BOUNDS)
    calibrate(first, "auto_log_uniform", bounds=BOUNDS)
    calibrate(first, "auto_saturation", bounds=(-20.0, 3.0))
    assert calls == [400] * 4
    for file in cache.rglob("threshold-*.json"):
        file.write_text("broken")
    assert calibrate(first, "auto_saturation", bounds=BOUNDS) == threshold
    assert calls == [400] * 5


def test_a_state_without_stable_sets_is_refused(cache, few_sets, golden_simulators, monkeypatch):
    monkeypatch.setattr(KineticSimulator, "max_eigenvalue", lambda self, sets: np.linspace(0, 1, len(sets)))
    with pytest.raises(
        KineticInputError, match=r"auto_saturation gives 0 1/h: the state has no stable sets in the cal"
    ):
        calibrate(golden_simulators[0], "auto_saturation", bounds=BOUNDS)
    assert not list(cache.rglob("*.json"))


def test_an_unknown_rule_is_refused(golden_simulators):
    with pytest.raises(KineticInputError, match="lambda_part=auto: give a negative number or one of auto_saturation"):
        calibrate(golden_simulators[0], "auto", bounds=BOUNDS)


def test_an_easy_threshold_is_noted(golden_simulators, caplog, monkeypatch):
    simulator = golden_simulators[0]
    caplog.set_level(logging.WARNING)
    note_easy_threshold(simulator, -20.0, bounds=BOUNDS)  # 15 % of sets with uniform saturations are valid
    assert not caplog.records
    note_easy_threshold(simulator, -10.0, bounds=BOUNDS)
    (record,) = caplog.records
    sets = sample_uniform_saturation(simulator, 200, np.random.default_rng(0), bounds=BOUNDS)
    share = 100 * np.mean(simulator.max_eigenvalue(sets) <= -10)
    assert record.getMessage().startswith(
        f"lambda_part=-10 is easy: {share:.0f} % of sets with uniform saturations are"
    )
    assert record.getMessage().endswith("give a lower number, or auto_saturation.")
    monkeypatch.setattr(calibration, "LARGEST_QUICK", 44)
    note_easy_threshold(simulator, -10.0, bounds=BOUNDS)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("lambda_part", "noted"), [(-10.0, True), (-38.0, False), ("auto_log_uniform", False)])
def test_a_given_threshold_is_looked_at_and_a_calibrated_one_is_not(
    cache, few_sets, caplog, monkeypatch, golden_network, golden_states, lambda_part, noted
):
    monkeypatch.setattr(task, "load_states", lambda config, rows: (golden_network, golden_states[:1]))
    task.load_task(KineticConfig(lambda_part=lambda_part))
    assert ("is easy" in caplog.text) == noted
