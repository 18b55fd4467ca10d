import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bioppo import UserError
from bioppo.reports.curves import (
    draw_run_figures,
    environment_figures,
    learning_curve,
    save_figure,
    study_figures,
)
from bioppo.reports.drawing import COLOURS, group_label, limits, line_style, neighbours, plain_number, spread
from bioppo.reports.records import find_runs


def progress(*rows):
    return "update,simulator_calls,evaluation/incidence\n" + "".join(f"{row}\n" for row in rows)


def test_curves_are_interpolated_within_each_runs_range(study):
    study.run("a", 0, progress=progress("1,0,0.0", "2,100,", "3,200,2.0"))
    study.run("a", 1, progress=progress("1,100,3.0", "2,300,5.0"))
    curve = learning_curve(find_runs(study.path), "evaluation/incidence")
    np.testing.assert_array_equal(curve.calls, [0, 100, 200, 300])
    # At 0 the first run alone; at 100 it is at 1 and the second at 3; at 200 at 2 and 4; at 300 the second alone.
    np.testing.assert_allclose(curve.centre, [0, 2, 3, 5])
    np.testing.assert_allclose(curve.low, [np.nan, 1, 2, np.nan])
    np.testing.assert_allclose(curve.high, [np.nan, 3, 4, np.nan])
    assert curve.seeds == 2


def test_the_last_of_equal_calls_counts(study):
    study.run("a", progress=progress("1,0,0.0", "2,100,1.0", "3,100,4.0"))
    np.testing.assert_allclose(learning_curve(find_runs(study.path), "evaluation/incidence").centre, [0, 4])


def test_long_curves_are_thinned_to_even_steps_that_keep_the_ends(study):
    study.run("a", progress=progress(*(f"{n},{n * n},{n * n}" for n in range(1, 1001))))
    curve = learning_curve(find_runs(study.path), "evaluation/incidence")
    assert (curve.calls.size, curve.calls[0], curve.calls[-1]) == (200, 1, 1_000_000)
    np.testing.assert_allclose(curve.centre, curve.calls, rtol=1e-9)


def test_no_curve_without_values(study):
    study.run("a", progress=progress("1,100,"))
    study.run("b", budget=2)
    assert learning_curve(find_runs(study.path), "evaluation/incidence") is None
    assert learning_curve(find_runs(study.path), "evaluation/other") is None


def test_figures_of_a_study(study):
    for rate in (0.1, 0.2):
        for seed in range(2):
            study.run(
                f"{rate}",
                seed,
                algo={"learning_rate": rate},
                progress="update,simulator_calls,evaluation/incidence,environment/reward_mean\n1,100,0.1,3\n2,900,0.2,4\n",
                result={"last/incidence": rate + seed, "random/incidence": 0.05, "last/max_eigenvalue": -1},
            )
    study.run("0.3", algo={"learning_rate": 0.3}, progress=progress("1,100,0.5"))
    figures = study_figures(find_runs(study.path))
    assert list(figures) == [
        "learning_curve_incidence",
        "final_scores_incidence",
        "final_scores_max_eigenvalue",
        "training_reward_mean",
    ]
    (axes,) = figures["learning_curve_incidence"].axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [
        "learning_rate=0.1 (2 seeds)",
        "learning_rate=0.2 (2 seeds)",
        "learning_rate=0.3 (1 seed)",
    ]
    assert [text.get_text() for text in axes.texts] == ["random"]
    assert axes.get_xlabel() == "simulator calls"
    assert axes.get_ylabel() == "incidence (higher is better)"
    (axes,) = figures["final_scores_incidence"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "learning_rate=0.1 (n = 2)",
        "learning_rate=0.2 (n = 2)",
        "learning_rate=0.3 (n = 0)",
        "random (n = 2)",
    ]
    assert "no finished run" in [text.get_text() for text in axes.texts]


def test_each_environment_has_its_own_figures(study):
    for name in ("kinetic", "dfba"):
        study.run(name, env={"name": name}, progress=progress("1,100,0.5", "2,200,0.6"))
    assert list(study_figures(find_runs(study.path), ["incidence"])) == [
        "learning_curve_incidence-dfba",
        "learning_curve_incidence-kinetic",
    ]


def test_figures_are_written_reproducibly(tmp_path):
    def drawn() -> Figure:
        figure = Figure()
        figure.add_subplot().fill_between([0, 1], [0, 1], [1, 2], hatch="/")
        return figure

    first = save_figure(drawn(), tmp_path / "new" / "a", "environment/reward mean")
    second = save_figure(drawn(), tmp_path / "b", "environment/reward mean")
    assert [path.name for path in first] == ["environment_reward_mean.png", "environment_reward_mean.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"<dc:date>" not in first[1].read_bytes()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a package that offers an environment and its figures."""
    folder = tmp_path / "imported" / "pond_environment"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "environment.py").write_text("raise RuntimeError('the environment itself must not be imported')")
    (folder / "figures.py").write_text(
        "from matplotlib.figure import Figure\ndef figures(run_directory):\n    return {run_directory.name: Figure()}\n"
    )
    monkeypatch.syspath_prepend(folder.parent)
    yield "pond_environment"
    for name in [name for name in sys.modules if name.startswith("pond_environment")]:
        del sys.modules[name]


def test_the_environment_draws_its_own_figures(study, package):
    path = study.run("a", env={"_target_": f"{package}.environment.Pond"})
    assert list(environment_figures(path)) == ["seed_0"]
    assert draw_run_figures(path) == [path / "figures" / "seed_0.png", path / "figures" / "seed_0.svg"]


@pytest.mark.parametrize("target", ["", "Pond", "json.JSONDecoder", "bioppo.envs.batched.BatchedEnv"])
def test_an_environment_without_figures(study, target):
    assert environment_figures(study.run("a", env={"_target_": target})) == {}


def test_an_environment_that_is_not_installed(study):
    with pytest.raises(UserError, match=r"_target_=no_such.pond.Pond: no_such cannot be imported; install it"):
        environment_figures(study.run("a", env={"_target_": "no_such.pond.Pond"}))


def test_line_styles_differ_in_colour_and_in_grey():
    styles = [line_style(position) for position in range(64)]
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 64
    assert len({style["linestyle"] for style in styles[: len(COLOURS)]}) == len(COLOURS)


@pytest.mark.parametrize(
    ("values", "baselines", "expected"),
    [
        ([0.0, 1.0], [], (-0.05, 1.05)),
        ([0.0, 1.0], [2.0], (-0.1, 2.1)),
        # To scale it would leave the values a hundredth of the axis.
        ([0.0, 1.0], [100.0], (-0.05, 1.05)),
        ([1.0, 1.0], [], (0.95, 1.05)),
        ([1.0], [3.0], (0.9, 3.1)),
        ([], [1.0, 2.0], (0.95, 2.05)),
        ([float("nan")], [float("nan")], (-0.05, 0.05)),
    ],
)
def test_limits(values, baselines, expected):
    assert limits(values, baselines, least_share=0.15) == pytest.approx(expected)


def test_labels_are_spread_as_little_as_may_be():
    assert spread([0.1, 0.5], gap=0.1) == [0.1, 0.5]
    assert spread([0.5, 0.5], gap=0.1) == pytest.approx([0.45, 0.55])
    # The first two part to 0.15 and 0.25, which touches the third: a block around (0.2 + 0.2 + 0.3) / 3.
    assert spread([0.2, 0.2, 0.3], gap=0.1) == pytest.approx([0.7 / 3 - 0.1, 0.7 / 3, 0.7 / 3 + 0.1])
    assert spread([], gap=0.1) == []


def test_numbers_on_an_axis():
    assert [plain_number(value) for value in (0, 20000.0, -0.1 * 3, 1e6)] == ["0", "20,000", "−0.3", "1,000,000"]


def test_many_baselines_that_lie_together_share_a_label():
    heights = {"a (x)": 0.0, "a (y)": 0.001, "b (x)": 0.015, "c": 0.5, "d": 0.51, "e": 1.0}
    groups = neighbours(list(heights), heights)
    assert groups == [["a (x)", "a (y)", "b (x)"], ["c", "d"], ["e"]]
    assert [group_label(group) for group in groups] == ["a, b", "c, d", "e"]
    assert group_label(["a (x)"]) == "a (x)"
    assert group_label(["a", "b", "c", "d"]) == "a, b, c and others"
