import pytest

from bioppo import UserError
from bioppo.cli.table import main as table
from bioppo.reports.comparison import EXPLANATION, comparison_notes
from bioppo.reports.records import find_runs


def two_variants(study):
    for seed, (a, b) in enumerate(zip([1.0, 3.0, 5.0], [2.0, 3.0, None], strict=True)):
        common = {"random/incidence": 0.0, "random/max_eigenvalue": 9.0}
        study.run(
            "a", seed, algo={"learning_rate": 0.1}, result={"last/incidence": a, "last/max_eigenvalue": a} | common
        )
        study.run(
            "b", seed, algo={"learning_rate": 0.2}, result={"last/incidence": b, "last/max_eigenvalue": 9} | common
        )


A, B = "learning_rate=0.1", "learning_rate=0.2"


def test_the_headline_metric(study):
    two_variants(study)
    sentence, explanation = comparison_notes(find_runs(study.path), A, B)
    # Of the six pairs: 1 beats none, 3 beats 2 and ties with 3, 5 beats both.
    assert sentence.startswith(f"P({A} > {B}) in incidence ↑ = 0.583 [")
    assert sentence.endswith("] (3 and 2 seeds).")
    assert explanation == EXPLANATION


def test_chosen_columns_and_directions(study):
    two_variants(study)
    notes = comparison_notes(find_runs(study.path), A, B, ["simulator_calls", "max_eigenvalue", "incidence"])
    assert [note.split(" = ")[0] for note in notes[:-1]] == [
        f"P({A} > {B}) in incidence ↑",
        f"P({A} > {B}) in max_eigenvalue ↓",
    ]
    # 1, 3 and 5 are all better than 9, because lower is better.
    assert notes[1].endswith(" = 1.000 [1.000, 1.000] (3 and 3 seeds).")


def test_a_baseline_is_a_row_too(study):
    two_variants(study)
    assert " = 1.000 [" in comparison_notes(find_runs(study.path), A, "random")[0]
    assert " = 0.000 [" in comparison_notes(find_runs(study.path), "random", A)[0]


def test_a_name_that_stands_for_several_environments_is_averaged(study):
    for name, ours, theirs in (("kinetic", 1.0, 2.0), ("dfba", 2.0, 1.0)):
        for seed in range(2):
            study.run(f"{name}a", seed, env={"name": name}, variant="a", result={"last/incidence": ours})
            study.run(f"{name}b", seed, env={"name": name}, variant="b", budget=5, result={"last/incidence": theirs})
    notes = comparison_notes(find_runs(study.path), "a", "b")
    assert notes[0] == "P(a > b) in incidence ↑ = 0.500 [0.500, 0.500] (4 and 4 seeds, 2 tasks)."


def test_nothing_to_compare(study):
    study.run("a", 0, variant="a", result={"last/incidence": None})
    study.run("b", 0, variant="b", result={"last/incidence": 1.0})
    assert comparison_notes(find_runs(study.path), "a", "b")[0].endswith(": unknown, without a score of both.")


def test_one_seed_has_no_interval(study):
    study.run("a", 0, variant="a", result={"last/incidence": 2.0})
    study.run("b", 0, variant="b", result={"last/incidence": 1.0})
    assert comparison_notes(find_runs(study.path), "a", "b")[0].endswith(" = 1.000 [–] (1 and 1 seeds).")


def test_mistakes(study):
    two_variants(study)
    study.run("c", env={"name": "dfba"}, variant="c", result={"last/incidence": 1.0})
    for budget in (5, 6):
        study.run(f"d{budget}", budget=budget, variant="d", result={"last/incidence": 1.0})
    runs = find_runs(study.path)
    with pytest.raises(UserError, match=r"^compare=kinetic, learning: no row is called this; did you mean kinetic, l"):
        comparison_notes(runs, "kinetic, learning", "c")
    with pytest.raises(UserError, match=r"measured in kinetic and in dfba; choose two rows of one environment\.$"):
        comparison_notes(runs, next(row for row in row_labels(runs) if "0.1" in row), "c")
    with pytest.raises(UserError, match=r"^compare=d: means both d \(.*\) and d \(.*\); write the whole label\.$"):
        comparison_notes(runs, "d", "c")


def row_labels(runs):
    from bioppo.reports.tables import build_table

    return [row.label for row in build_table(runs).rows]


def test_the_command_writes_it_under_the_table(study, capsys):
    two_variants(study)
    assert table([str(study.path), "--compare", A, B]) == 0
    sentence = f"P({A} > {B}) in incidence ↑ = 0.583 ["
    assert sentence in capsys.readouterr().out
    assert "in incidence ↑ = 0.583 " in (study.path / "table.md").read_text()
    assert table([str(study.path), "--columns", "updates,max_eigenvalue", "--compare", A, B]) == 0
    printed = capsys.readouterr().out
    assert sentence in printed
    assert f"P({A} > {B}) in max_eigenvalue ↓ = 1.000" in printed
