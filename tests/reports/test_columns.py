import csv
import io

import pytest

from bioppo import UserError
from bioppo.reports.records import find_runs
from bioppo.reports.study import find_studies
from bioppo.reports.table_formats import render
from bioppo.reports.tables import build_table

RESULT = {"last/incidence": 0.5, "best/incidence": 0.6, "last/max_eigenvalue": -1.0, "best/max_eigenvalue": -2.0}
SOURCE = "Author et al. 2024, Table 1"


def table_of(study, names=()):
    return build_table(find_runs(study.path), names, studies=find_studies(study.path))


def test_columns_are_chosen_and_ordered(study):
    study.run("a", result=RESULT | {"random/incidence": 0.1})
    table = table_of(study, ["updates", "best/max_eigenvalue", "last/incidence", "incidence", "simulator_calls"])
    assert [column.title for column in table.columns] == [
        "updates",
        "max_eigenvalue ↓ (best)",
        "incidence ↑",
        "simulator_calls",
    ]
    lines = render(table, "markdown").splitlines()
    assert lines[2] == "| ppo | 1 | 10 [–] | -2.00 [–] | **0.500 [–]** | 1000 [–] |"
    assert lines[3] == "| *random* (baseline) | 1 | – | – | 0.100 [–] | – |"


def test_counts_have_no_best_and_stand_in_the_csv(study):
    study.run("a", result=RESULT | {"updates": 3, "random/incidence": 0})
    study.run("b", budget=5, result=RESULT | {"updates": 9})
    table = table_of(study, ["updates"])
    assert table.best(table.columns[0]) == frozenset()
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert sorted((row["agent"], row["metric"], row["better"], row["iqm"]) for row in rows) == [
        ("", "updates", "neither", "3.0"),
        ("", "updates", "neither", "9.0"),
    ]


def test_what_a_training_tells_of_itself_is_a_column_with_a_direction(study):
    provenance = {"run_metrics": [{"name": "training_reward", "better": "higher", "meaning": "of the last episodes"}]}
    study.run("a", result=RESULT | {"training_reward": 3.0, "random/incidence": 0}, provenance=provenance)
    study.run("b", budget=5, result=RESULT | {"training_reward": None}, provenance=provenance)
    table = table_of(study, ["training_reward", "incidence"])
    assert [column.title for column in table.columns] == ["training_reward ↑", "incidence ↑"]
    lines = render(table, "markdown").splitlines()
    assert lines[3] == "| budget=1000 | 1 | 3.00 [–] | **0.500 [–]** |"
    assert any("training_reward: undefined for seed 0" in line for line in lines)
    assert [column.title for column in table_of(study).columns if "training" in column.title] == []


def test_a_best_column_that_no_run_has(study):
    study.run("a", result={"last/incidence": 0.5})
    with pytest.raises(
        UserError, match=r"^columns=best/incidence: no run has this column; did you mean last/incidence"
    ):
        table_of(study, ["best/incidence"])


def with_reference(study, *rows):
    study.describe(reference={"source": SOURCE, "rows": list(rows)})


def test_reported_rows_are_marked_and_never_win(study):
    study.run("a", result=RESULT | {"random/incidence": 0.1})
    with_reference(
        study,
        {"variant": "PPO", "incidence": 0.97, "best/max_eigenvalue": None},
        {"variant": "CMA-ES", "best/incidence": 0.98},
    )
    table = table_of(study)
    assert [(row.role, row.label) for row in table.rows[2:]] == [
        ("reference", f"PPO (reported: {SOURCE})"),
        ("reference", f"CMA-ES (reported: {SOURCE})"),
    ]
    lines = render(table, "markdown").splitlines()
    assert lines[2] == "| ppo | 1 | **0.500 [–]** | **0.600 [–]** | -1.000 [–] |"
    # Two digits, as reported, in the one column that the row names.
    assert lines[4] == f"| *PPO (reported: {SOURCE})* | – | 0.97 | – | – |"
    assert lines[5] == f"| *CMA-ES (reported: {SOURCE})* | – | – | 0.98 | – |"
    latex = render(table, "latex").splitlines()
    start = latex.index(r"\multicolumn{5}{l}{\emph{Reported by others}} \\")
    assert latex[start + 1] == rf"PPO (reported: {SOURCE}) & -- & 0.97 & -- & -- \\"
    terminal = render(table, "terminal").splitlines()
    assert terminal[4].startswith("random (baseline)")
    assert terminal[5].strip() == ""
    assert terminal[6].startswith(f"PPO (reported: {SOURCE})")
    rows = [row for row in csv.DictReader(io.StringIO(render(table, "csv"))) if row["role"] == "reference"]
    assert [(row["agent"], row["iqm"], row["low"], row["n"], row["seeds"]) for row in rows] == [
        ("last", "0.97", "", "0", ""),
        ("best", "0.98", "", "0", ""),
    ]


def test_reported_numbers_change_no_format_and_no_count_of_environments(study):
    study.run("a", result=RESULT)
    study.run("b", budget=5, result=RESULT)
    before = render(table_of(study, ["incidence"]), "markdown").splitlines()
    with_reference(study, {"variant": "x", "incidence": 12345.0})
    after = render(table_of(study, ["incidence"]), "markdown").splitlines()
    assert [line for line in after if "reported" not in line] == before
    assert "- Bold: the best of its column, baselines included." in after


def test_reported_numbers_without_a_column(study):
    study.run("a", result=RESULT)
    with_reference(study, {"variant": "x", "incidense": 0.5, "max_eigenvalue": -1})
    table = table_of(study)
    assert "Reported, but measured by no run here: incidense." in table.notes
    # What was not chosen is not said, and a row that would be empty is left out.
    assert [row.role for row in table_of(study, ["incidence"]).rows] == ["variant"]


def test_the_same_reference_in_two_sweeps_stands_once(study):
    study.run("one/a", result=RESULT)
    with_reference(study, {"variant": "x", "incidence": 0.5})
    (study.path / "one" / "study.json").write_bytes((study.path / "study.json").read_bytes())
    assert [row.role for row in table_of(study).rows] == ["variant", "reference"]


def test_missing_and_failed_seeds_are_named(study):
    study.run("a", 0, result=RESULT)
    study.run("a", 1, failure="NotFinite")
    study.describe(("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 5))
    table = table_of(study)
    assert "ppo: seed 1 failed (NotFinite), seeds 2 and 3 missing." in table.notes
    assert "b: seed 5 missing." in table.notes
    assert table.rows[0].missing == (2, 3)
    assert table.frame()["missing_seeds"].tolist()[0] == "2 3"
    assert not any("missing" in note for note in build_table(find_runs(study.path)).notes)


def made(versions=None, commit="0123456789", dirty=False):
    return {
        "versions": {"bioppo": "0.1.0", "torch": "2.1.0"} | (versions or {}),
        "git": {"commit": commit, "dirty": dirty},
    }


def test_one_version_needs_no_note(study):
    for seed in range(2):
        study.run("a", seed, result=RESULT, provenance=made())
    study.run("a", 2, result=RESULT)
    assert not any("Made by" in note for note in table_of(study).notes)


def test_different_versions_are_said_with_a_remedy(study):
    for seed, torch in enumerate(["2.1.0", "2.2.0", "2.1.0"]):
        # What composes configs changes no number; a package that one run lacks is no difference.
        extra = {"cobra": "0.3"} if seed else {"hydra-core": "1.3"}
        study.run("a", seed, result=RESULT, provenance=made({"torch": torch, "omegaconf": f"2.{seed}"} | extra))
    # Only what is in the table counts.
    study.run("a", 3, provenance=made({"torch": "9.9"}))
    assert [note for note in table_of(study).notes if "Made by" in note] == [
        "Made by different versions: torch 2.1.0 (2 runs) and 2.2.0 (1 run); train again under one version, or table "
        "the folders apart."
    ]


@pytest.mark.parametrize(
    ("commits", "sentence"),
    [
        ([("a" * 40, True)] * 2, "Made by bioppo at commit aaaaaaa with uncommitted changes."),
        ([("a" * 40, False), ("b" * 40, False)], "Made by bioppo at commit aaaaaaa (1 run) and bbbbbbb (1 run)."),
    ],
)
def test_different_or_changed_code_is_said(study, commits, sentence):
    for seed, (commit, dirty) in enumerate(commits):
        study.run("a", seed, result=RESULT, provenance=made(commit=commit, dirty=dirty))
    assert [note for note in table_of(study).notes if "Made by" in note] == [sentence]
