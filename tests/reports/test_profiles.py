import numpy as np
import pytest

from bioppo.reports.curves import study_figures
from bioppo.reports.drawing import band_opacity
from bioppo.reports.profiles import performance_profile_figure, profile
from bioppo.reports.records import Metric, find_runs
from bioppo.reports.rows import Cell, Row

VALUES = np.array([0.2, 0.4, 0.4, 0.8])


def test_a_profile_worked_by_hand():
    steps, share, low, high = profile(VALUES, better="higher", ends=(0.0, 1.0))
    np.testing.assert_array_equal(steps, [0, 0.2, 0.4, 0.8, 1])
    # From each step on, up to the next: all four are above 0, three above 0.2, one above 0.4.
    np.testing.assert_array_equal(share, [1, 3 / 4, 1 / 4, 0, 0])
    np.testing.assert_array_equal(low, [1, 0.25, 0, 0, 0])
    np.testing.assert_array_equal(high, [1, 1, 0.75, 0, 0])


def test_a_profile_where_lower_is_better():
    steps, share, low, high = profile(VALUES, better="lower", ends=(0.0, 1.0))
    # None is below 0; just above 0.2 one is better, just above 0.4 three, just above 0.8 all four.
    np.testing.assert_array_equal(share, [0, 1 / 4, 3 / 4, 1, 1])
    np.testing.assert_array_equal(steps, [0, 0.2, 0.4, 0.8, 1])
    np.testing.assert_array_equal(low, [0, 0, 0.25, 1, 1])
    np.testing.assert_array_equal(high, [0, 0.75, 1, 1, 1])


def test_an_infinite_score_counts_and_is_no_step():
    steps, share, _, _ = profile(np.array([0.5, np.inf, -np.inf]), better="higher", ends=(0.0, 1.0))
    np.testing.assert_array_equal(steps, [0, 0.5, 1])
    np.testing.assert_allclose(share, [2 / 3, 1 / 3, 1 / 3])


def row(label, *scores, role="variant"):
    return Row(label, role, "kinetic", {}, {("last", "incidence"): Cell(dict(enumerate(scores)))})


METRIC = Metric("incidence", "higher", "share of valid sets")


def test_the_figure_has_a_line_and_a_band_for_each_variant():
    rows = [row("a", 0.1, 0.2, 0.3), row("b", *VALUES), row("random", 0.0, 0.0, role="baseline")]
    (axes,) = performance_profile_figure(rows, METRIC).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a (n = 3)", "b (n = 4)"]
    assert len(axes.collections) == 2
    first, second = axes.lines
    assert first.get_drawstyle() == second.get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(second.get_ydata(), [1, 3 / 4, 1 / 4, 0, 0])
    assert first.get_linestyle() != second.get_linestyle()
    assert axes.get_xlabel() == "incidence (higher is better)"


@pytest.mark.parametrize("rows", [[], [row("a", 0.1, 0.2)], [row("a", 0.1, 0.2, 0.3), row("b", 0.1, np.nan, 0.2)]])
def test_no_profile_below_three_seeds(rows):
    assert performance_profile_figure(rows, METRIC) is None


def test_a_study_has_profiles_from_three_seeds_on(study):
    for seed in range(2):
        study.run("a", seed, result={"last/incidence": seed / 2, "last/max_eigenvalue": -seed})
    assert "performance_profile_incidence" not in study_figures_of(study)
    study.run("a", 2, result={"last/incidence": 0.7, "last/max_eigenvalue": None})
    figures = study_figures_of(study)
    assert "performance_profile_incidence" in figures
    # The third seed has no score there.
    assert "performance_profile_max_eigenvalue" not in figures


def study_figures_of(study):
    return study_figures(find_runs(study.path))


def test_many_bands_are_fainter_and_few_are_not():
    assert [band_opacity(count) for count in (0, 1, 4, 8)] == [0.15, 0.15, 0.15, 0.075]
