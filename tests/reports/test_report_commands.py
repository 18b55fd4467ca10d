import os
import subprocess
import sys

import pandas as pd
import pytest

from bioppo import UserError
from bioppo.cli.plot import main as plot
from bioppo.cli.table import main as table

RESULT = {"last/incidence": 0.5, "best/incidence": 0.6, "random/incidence": 0.1, "last/max_eigenvalue": -1}
PROGRESS = "update,simulator_calls,evaluation/incidence\n1,100,0.1\n2,200,0.5\n"


def test_table_prints_and_writes(study, capsys):
    study.run("a", result=RESULT)
    assert table([str(study.path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("variant")
    assert (
        printed.splitlines()[-1]
        == f"Written: {', '.join(str(study.path / f'table.{kind}') for kind in ('csv', 'parquet', 'md', 'tex'))}"
    )
    assert (study.path / "table.csv").read_text().startswith("label,role,agent,metric")
    assert (study.path / "table.md").read_text().startswith("| variant | n |")
    assert r"\toprule" in (study.path / "table.tex").read_text()


def test_table_writes_into_another_folder(study, tmp_path):
    study.run("a", result=RESULT)
    assert table([str(study.path), "--output", str(tmp_path / "new" / "folder")]) == 0
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["table.csv", "table.md", "table.parquet", "table.tex"]
    assert os.listdir(study.path) == ["a"]


@pytest.mark.parametrize(
    ("name", "file", "beginning"),
    [
        ("terminal", "table.txt", "variant "),
        ("csv", "table.csv", "label,"),
        ("markdown", "table.md", "| variant "),
        ("latex", "table.tex", "% Needs"),
    ],
)
def test_one_format_goes_to_standard_output(study, tmp_path, capsys, name, file, beginning):
    study.run("a", result=RESULT)
    assert table([str(study.path), "--format", name]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(beginning)
    assert os.listdir(study.path) == ["a"]
    assert table([str(study.path), "--format", name, "--output", str(tmp_path / "out")]) == 0
    assert os.listdir(tmp_path / "out") == [file]
    assert (tmp_path / "out" / file).read_text(encoding="utf-8") == printed == capsys.readouterr().out


def test_table_of_a_chosen_column(study, capsys):
    study.run("a", result=RESULT)
    assert table([str(study.path), "--columns", "max_eigenvalue", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "| variant | n | max_eigenvalue ↓ |"


@pytest.mark.parametrize("command", [table, plot])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], r"the following arguments are required: DIR; see `bioppo \w+ --help`\."),
        (["{study}", "--nonsense"], r"unrecognized arguments: --nonsense"),
        (["{study}", "--metric", "incidence"], r"unrecognized arguments: --metric incidence"),
        (["{study}/nowhere"], r"nowhere: no such directory"),
    ],
)
def test_mistakes_end_in_one_sentence(study, command, arguments, sentence):
    study.run("a", result=RESULT)
    with pytest.raises(UserError, match=sentence) as raised:
        command([argument.format(study=study.path) for argument in arguments])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("command", "option", "sentence"),
    [
        (plot, "--metrics", r"^metrics=incidense: no run has this metric; did you mean incidence\?$"),
        (table, "--columns", r"^columns=incidense: no run has this column; did you mean incidence or \w+/incidence"),
    ],
)
def test_unknown_names(study, command, option, sentence):
    study.run("a", result=RESULT)
    with pytest.raises(UserError, match=sentence):
        command([str(study.path), option, "incidense"])


def test_parquet_holds_what_the_csv_holds(study, tmp_path, capsys):
    for seed in range(2):
        study.run("a", seed, result=RESULT)
        study.run("b", seed, algo={"name": "nes", "sigma": 0.1}, result=RESULT | {"last/max_eigenvalue": None})
    assert table([str(study.path), "--format", "parquet", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
    table([str(study.path)])
    ours = pd.read_parquet(tmp_path / "table.parquet")
    assert ours.equals(pd.read_parquet(study.path / "table.parquet"))
    csv = pd.read_csv(study.path / "table.csv", dtype={"seeds": str}, keep_default_na=False, na_values={"iqm": ""})
    assert list(ours) == list(csv)
    assert ours["label"].tolist() == csv["label"].tolist()
    assert ours["iqm"].equals(csv["iqm"])
    assert ours["seeds"].tolist() == csv["seeds"].tolist()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format", "parquet"], r"^--format parquet is no text to print: add --output FOLDER\.$"),
        (["--format", "csv", "--compare", "a", "b"], r"^--format csv holds no notes, where --compare is written"),
        (["--compare", "a"], r"argument --compare: expected 2 arguments"),
    ],
)
def test_formats_that_cannot_be(study, words, sentence):
    study.run("a", result=RESULT)
    with pytest.raises(UserError, match=sentence):
        table([str(study.path), *words])


def test_unknown_format(study):
    with pytest.raises(UserError, match="invalid choice: 'html'"):
        table([str(study.path), "--format", "html"])


def test_plot_writes_both_formats(study, capsys):
    for seed in range(2):
        study.run("a", seed, result=RESULT, progress=PROGRESS)
    assert plot([str(study.path), "--metrics", "incidence"]) == 0
    names = ["final_scores_incidence.png", "final_scores_incidence.svg"]
    names += ["learning_curve_incidence.png", "learning_curve_incidence.svg"]
    assert sorted(os.listdir(study.path / "figures")) == names
    assert sorted(capsys.readouterr().out.splitlines()) == [
        f"Written: {study.path / 'figures' / name}" for name in names
    ]


def test_plot_of_one_run_writes_into_it(study):
    path = study.run("a", env={"_target_": "json.JSONDecoder"}, progress=PROGRESS)
    assert plot([str(path), "--metrics", "incidence"]) == 0
    assert sorted(os.listdir(path / "figures")) == ["learning_curve_incidence.png", "learning_curve_incidence.svg"]


def test_plot_of_runs_without_any_evaluation(study):
    study.run("a", progress="update,simulator_calls\n")
    with pytest.raises(UserError, match=r"study: nothing was evaluated yet; go on with the runs"):
        plot([str(study.path)])


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("bioppo.cli.table, bioppo.cli.plot", ("numpy", "pandas", "matplotlib", "torch")),
        (
            "bioppo.reports.curves, bioppo.reports.table_formats",
            ("bioppo.envs", "bioppo.algorithms", "bioppo.training", "torch", "pandas", "matplotlib"),
        ),
    ],
)
def test_importing_is_light(modules, unwanted):
    code = f"import sys, {modules}; print([name for name in {unwanted} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"
