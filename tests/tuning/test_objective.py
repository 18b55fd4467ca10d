import numpy as np
import pytest

from bioppo import UserError
from bioppo.tuning.objective import from_zero, mean_height, score_of_run

PROGRESS = """\
update,simulator_calls,evaluation/incidence,train/loss
0,0,0.0,
1,50,,0.1
2,100,1.0,0.1
3,300,0.30000000000000004,0.2
"""


def test_the_area_is_the_mean_height_of_the_curve():
    # 100 calls at a mean of 0.5, then 200 at a mean of 0.65: (50 + 130) / 300.
    assert mean_height(np.array([0, 100, 300]), np.array([0.0, 1.0, 0.3])) == pytest.approx(0.6)
    assert mean_height(np.array([50]), np.array([0.25])) == 0.25


def test_the_area_from_zero_begins_at_nothing_whatever_the_untrained_agent_had():
    values = np.array([0.9, 1.0, 0.3])
    for first in (0, 8):  # calls that the environment itself has spent before training
        calls = np.array([first, 100, 300])
        assert mean_height(*from_zero(calls, values)) == pytest.approx((50 + 130) / 300)
    eleven = np.arange(11)
    assert mean_height(*from_zero(200_000.0 * eleven, eleven / 10)) == pytest.approx(0.5)


def test_a_run_scores_by_its_evaluations_alone(tmp_path):
    (tmp_path / "progress.csv").write_text(PROGRESS)
    assert score_of_run(tmp_path, "incidence", "final") == 0.30000000000000004
    assert score_of_run(tmp_path, "incidence", "area") == pytest.approx(0.6)
    (tmp_path / "progress.csv").write_text(PROGRESS.replace("0,0,0.0", "0,0,0.5"))
    assert score_of_run(tmp_path, "incidence", "area") == pytest.approx((75 + 130) / 300)
    assert score_of_run(tmp_path, "incidence", "area_from_zero") == pytest.approx(0.6)
    with pytest.raises(UserError, match="no values of evaluation/yield: delete"):
        score_of_run(tmp_path, "yield", "final")
