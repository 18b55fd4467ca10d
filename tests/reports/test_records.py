import math
import re

import pytest

from bioppo import UserError
from bioppo.reports.records import choose_metrics, find_runs, known_metrics


def test_runs_are_found_at_any_depth_ordered_by_path_and_not_within_runs(study):
    first = study.run("b/deep", 1, result={"last/incidence": 0.5})
    study.run("a", 0)
    study.run("a", 2, failure="NotFinite")
    nested = first / "copy"
    nested.mkdir()
    (nested / "config.yaml").write_text("seed: 0")
    hidden = study.path / ".hydra"
    hidden.mkdir()
    (hidden / "config.yaml").write_text("seed: 0")
    runs = find_runs(study.path)
    assert [str(run.path.relative_to(study.path)) for run in runs] == ["a/seed_0", "a/seed_2", "b/deep/seed_1"]
    assert [run.status for run in runs] == ["unfinished", "failed", "finished"]
    assert runs[1].failure == "NotFinite"
    assert runs[2].result["last/incidence"] == 0.5


def test_a_run_directory_is_itself_found(study):
    path = study.run("a", 3)
    (run,) = find_runs(path)
    assert (run.path, run.seed) == (path, 3)


def test_null_scores_become_nan_and_baselines_are_the_other_agents(study):
    study.run("a", result={"last/incidence": None, "nothing/incidence": 0, "best/incidence": 1, "random/incidence": 2})
    (run,) = find_runs(study.path)
    assert math.isnan(run.result["last/incidence"])
    assert run.baselines == ["nothing", "random"]


def test_a_node_without_a_name_is_called_by_its_class(study):
    study.run("a", env={"name": None}, algo={"name": ""})
    (run,) = find_runs(study.path)
    assert (run.env_name, run.algo_name) == ("KineticVectorEnv", "PPO")


HEADER = "update,simulator_calls,evaluation/incidence\n"


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (None, []),
        ("", []),
        ("update,simul", []),
        (HEADER, []),
        (HEADER + "1,100,\n", [(1, 100, None)]),
        (HEADER + "1,100,\n2,200,0.5\n", [(1, 100, None), (2, 200, 0.5)]),
        (HEADER + "1,100,\n2,200,0.5", [(1, 100, None)]),
        (HEADER + "1,100,\n2,2", [(1, 100, None)]),
    ],
)
def test_progress_is_read_up_to_its_last_complete_row(study, content, rows):
    study.run("a", progress=content)
    progress = find_runs(study.path)[0].progress
    assert {"update", "simulator_calls"} <= set(progress.columns)
    seen = [tuple(None if math.isnan(value) else value for value in row) for row in progress.to_numpy()]
    assert seen == rows


def test_progress_that_is_no_table_names_the_file(study):
    path = study.run("a", progress=HEADER + "1,abc,\n")
    with pytest.raises(UserError, match=re.escape(str(path / "progress.csv"))):
        _ = find_runs(study.path)[0].progress


def test_missing_directory(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such directory; give one that holds runs"):
        find_runs(tmp_path / "nowhere")


def test_directory_without_runs(tmp_path):
    with pytest.raises(UserError, match=r"holds no run .* give a directory that `bioppo train` wrote\."):
        find_runs(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "env: {name: kin", "env:\n  name: kinetic\n", "- a\n", "env: 3\nalgo: 4\nseed: 0\n"]
)
def test_half_written_config_names_the_file(study, content):
    file = study.run("a") / "config.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=re.escape(f"{file} is half-written")):
        find_runs(study.path)


@pytest.mark.parametrize("name", ["result.json", "provenance.json"])
@pytest.mark.parametrize("content", ["", '{"last/incidence": 0.', "[1]"])
def test_half_written_json_names_the_file(study, name, content):
    file = study.run("a", result={}) / name
    file.write_text(content)
    with pytest.raises(UserError, match=re.escape(f"{file} is half-written")):
        find_runs(study.path)


def test_a_score_must_be_a_number(study):
    study.run("a", result={"last/incidence": "high"})
    with pytest.raises(UserError, match=r"result\.json: last/incidence is 'high', not a number"):
        find_runs(study.path)


def test_finished_run_needs_its_provenance_and_an_unfinished_one_does_not(study):
    study.run("a", metrics=None)
    assert find_runs(study.path)[0].metrics == ()
    study.run("b", metrics=None, result={})
    with pytest.raises(UserError, match=r"b/seed_0/provenance\.json: missing"):
        find_runs(study.path)


def test_metric_needs_a_direction(study):
    study.run("a", metrics=[{"name": "incidence", "better": "up"}])
    with pytest.raises(UserError, match=r"provenance\.json: metric .* needs a name, and better: higher or lower"):
        find_runs(study.path)


def test_metrics_are_chosen_by_name_in_the_order_asked_for(study):
    study.run("a")
    runs = find_runs(study.path)
    assert [metric.name for metric in choose_metrics(runs)] == ["incidence", "max_eigenvalue"]
    assert [metric.name for metric in choose_metrics(runs, ["max_eigenvalue", "incidence", "incidence"])] == [
        "max_eigenvalue",
        "incidence",
    ]
    with pytest.raises(UserError, match=r"metrics=incidnce: no run has this metric; did you mean incidence\?"):
        choose_metrics(runs, ["incidnce"])


def test_runs_that_disagree_on_what_is_better_are_refused(study):
    study.run("a", metrics=[{"name": "cost", "better": "lower"}])
    study.run("b", metrics=[{"name": "cost", "better": "higher"}])
    with pytest.raises(UserError, match=r"cost: lower is better in .*a/seed_0 and higher in .*b/seed_0"):
        known_metrics(find_runs(study.path))
