import csv
import io
import math
import re
from itertools import pairwise

import pytest

from bioppo import UserError
from bioppo.reports.records import find_runs
from bioppo.reports.table_formats import number_format, render, three_digits
from bioppo.reports.tables import build_table


def table_of(study, names=()):
    return build_table(find_runs(study.path), names)


def two_algorithms(study):
    """Write PPO with three seeds (one failed, one unfinished besides) and CMA-ES with two, sharing a baseline."""
    for seed, score in enumerate([0.2, 0.9, 0.1]):
        study.run(
            "ppo",
            seed,
            result={
                "last/incidence": score,
                "best/incidence": score + 0.05,
                "last/max_eigenvalue": -score,
                "best/max_eigenvalue": -1,
                "random/incidence": 0.4 + seed / 10,
                "random/max_eigenvalue": -9.5,
            },
        )
    study.run("ppo", 3, failure="NotFinite")
    study.run("ppo", 4)
    for seed, score in enumerate([0.1, 0.3]):
        study.run(
            "cma",
            seed,
            algo={"name": "cma_es"},
            result={
                "last/incidence": score,
                "best/incidence": score,
                "last/max_eigenvalue": None if seed else -2.0,
                "random/incidence": 0.4 + seed / 10,
                "random/max_eigenvalue": -9.5,
            },
        )


def test_rows_and_columns(study):
    two_algorithms(study)
    table = table_of(study)
    assert [(row.label, row.role) for row in table.rows] == [
        ("cma_es", "variant"),
        ("ppo", "variant"),
        ("random", "baseline"),
    ]
    # Every metric for the last policy, and the headline for the best one too.
    assert [column.title for column in table.columns] == ["incidence ↑", "incidence ↑ (best)", "max_eigenvalue ↓"]


def test_cells_worked_by_hand(study):
    two_algorithms(study)
    cma, ppo, random = table_of(study).rows
    # Three seeds: (0.1 + 4 * 0.2 + 0.9) / 6; two seeds: their mean.
    assert ppo.cell("last", "incidence").centre == pytest.approx(0.3)
    assert ppo.cell("best", "incidence").centre == pytest.approx(0.35)
    assert cma.cell("last", "incidence").centre == pytest.approx(0.2)
    assert cma.cell("last", "incidence").interval == pytest.approx((0.1, 0.3))
    # A null is left out, and one seed has no interval.
    assert cma.cell("last", "max_eigenvalue").centre == -2.0
    assert cma.cell("last", "max_eigenvalue").undefined == (1,)
    assert all(map(math.isnan, cma.cell("last", "max_eigenvalue").interval))
    # Five runs measured the baseline, with three seeds: (0.4 + 4 * 0.5 + 0.6) / 6.
    assert random.finished == (0, 1, 2)
    assert random.cell("last", "incidence").centre == pytest.approx(0.5)


def test_a_baseline_that_wins_is_seen_to_win(study):
    two_algorithms(study)
    table = table_of(study)
    assert [sorted(table.best(column)) for column in table.columns] == [[2], [2], [2]]


def test_ties_are_all_best_and_a_single_row_is_not_marked(study):
    study.run("a", result={"last/incidence": 0.5})
    assert table_of(study).best(table_of(study).columns[0]) == frozenset()
    study.run("b", budget=2, result={"last/incidence": 0.5})
    assert table_of(study).best(table_of(study).columns[0]) == {0, 1}


def test_best_is_marked_for_each_environment(study):
    for name, scores in (("kinetic", (0.1, 0.2)), ("dfba", (5.0, 4.0))):
        for budget, score in enumerate(scores, start=1):
            study.run(f"{name}{budget}", env={"name": name}, budget=budget, result={"last/incidence": score})
    table = table_of(study)
    assert [row.label for row in table.rows] == [
        "dfba, budget=1",
        "dfba, budget=2",
        "kinetic, budget=1",
        "kinetic, budget=2",
    ]
    assert table.best(table.columns[0]) == {0, 3}


def test_nothing_is_dropped_in_silence(study):
    two_algorithms(study)
    study.run("nes", 7, algo={"name": "nes"})
    table = table_of(study)
    assert [row.label for row in table.rows] == ["cma_es", "nes", "ppo", "random"]
    notes = "\n".join(table.notes)
    assert "ppo: seed 3 failed (NotFinite), seed 4 unfinished." in notes
    assert "nes: seed 7 unfinished." in notes
    assert "cma_es, max_eigenvalue (last): undefined for seed 1, which the cell leaves out." in notes
    assert "incidence: share of valid sets." in notes


def test_baselines_stand_once_for_each_task(study):
    for horizon in (5, 10):
        for rate in (0.1, 0.2):
            study.run(
                f"{horizon}_{rate}",
                env={"horizon": horizon},
                algo={"learning_rate": rate},
                result={"last/incidence": rate, "random/incidence": horizon},
            )
    baselines = [row for row in table_of(study).rows if row.role == "baseline"]
    assert [row.label for row in baselines] == ["random (horizon=5)", "random (horizon=10)"]
    assert [row.cell("last", "incidence").values for row in baselines] == [{0: 5.0}, {0: 10.0}]
    assert baselines[0].settings == {"env.horizon": 5}


def test_a_task_with_a_long_description_is_named_after_its_variants(study):
    long = {"reward": "asinh_potential", "start": "normal", "model": "renaissance384"}
    other = {"reward": "sigmoid", "start": "uniform", "model": "e_coli_core"}
    for name, env in (("mine", long), ("yours", long), ("theirs", other)):
        study.run(name, env=env, variant=name, result={"last/incidence": 0.5, "random/incidence": len(name)})
    baselines = [row for row in table_of(study).rows if row.role == "baseline"]
    assert [row.label for row in baselines] == ["random (task of mine and 1 more)", "random (task of theirs)"]
    assert baselines[1].settings["env.model"] == "e_coli_core"


def test_a_baseline_that_is_also_a_variant_is_left_out_once_that_has_results(study):
    study.run("ppo", result={"last/incidence": 0.5, "random/incidence": 0.1, "nothing/incidence": 0.0})
    study.run("random", algo={"name": "random"})
    assert [row.label for row in table_of(study).rows] == ["ppo", "random", "random", "nothing"]
    study.run("random", 1, algo={"name": "random"}, result={"last/incidence": 0.1, "nothing/incidence": 0.0})
    assert [row.label for row in table_of(study).rows] == ["ppo", "random", "nothing"]


def test_baselines_that_disagree_are_said(study):
    study.run("a", result={"last/incidence": 0.5, "random/incidence": 0.1})
    study.run("b", budget=2000, result={"last/incidence": 0.5, "random/incidence": 0.2})
    assert (
        "random/incidence, seed 0: 0.1 beside budget=1000 counts, 0.2 beside budget=2000 does not."
        in table_of(study).notes
    )


def test_no_finished_run(study):
    study.run("a", 0)
    study.run("a", 1, failure="NotFinite")
    with pytest.raises(
        UserError, match=r"study/a: no run is finished yet \(1 failed, 1 unfinished\); repeat the command"
    ):
        table_of(study)


def test_csv_holds_every_number_in_full(study):
    two_algorithms(study)
    rows = list(csv.DictReader(io.StringIO(render(table_of(study), "csv"))))
    assert list(rows[0]) == [
        "label", "role", "algo.name", "agent", "metric", "better", "iqm", "low", "high", "n", "seeds",
        "undefined_seeds", "failed_seeds", "unfinished_seeds", "missing_seeds",
    ]  # fmt: skip
    by_cell = {(row["label"], row["agent"], row["metric"]): row for row in rows}
    # CMA-ES has no best policy for the second metric.
    assert len(by_cell) == 3 + 4 + 2
    ppo = by_cell["ppo", "last", "incidence"]
    assert float(ppo["iqm"]) == pytest.approx((0.1 + 4 * 0.2 + 0.9) / 6, rel=1e-15)
    assert (ppo["n"], ppo["seeds"], ppo["failed_seeds"], ppo["unfinished_seeds"]) == ("3", "0 1 2", "3", "4")
    undefined = by_cell["cma_es", "last", "max_eigenvalue"]
    assert (undefined["iqm"], undefined["low"], undefined["n"], undefined["undefined_seeds"]) == ("-2.0", "", "1", "1")
    assert by_cell["random", "random", "incidence"]["role"] == "baseline"


def test_markdown(study):
    two_algorithms(study)
    lines = render(table_of(study), "markdown").splitlines()
    assert lines[0] == "| variant | n | incidence ↑ | incidence ↑ (best) | max_eigenvalue ↓ |"
    assert lines[1] == "| :-- | --: | --: | --: | --: |"
    assert lines[2] == "| cma_es | 2 | 0.200 [0.100, 0.300] | 0.200 [0.100, 0.300] | -2.00 [–] |"
    assert lines[4].startswith("| *random* (baseline) | 3 | **0.500 [0.400, 0.600]** | **0.500 [0.400, 0.600]** |")
    assert lines[4].endswith("| **-9.50 [-9.50, -9.50]** |")
    assert "- Bold: the best of its column, baselines included." in lines


def test_markdown_escapes_what_would_be_markup(study):
    study.run("a", variant="a|b *c* _d_ e_f", result={"last/incidence": 1})
    assert r"| a\|b \*c\* \_d\_ e_f | 1 |" in render(table_of(study), "markdown")


def test_latex(study):
    two_algorithms(study)
    lines = render(table_of(study), "latex").splitlines()
    start = lines.index(r"\toprule")
    assert lines[start - 1] == r"\begin{tabular}{lrrrr}"
    assert lines[start + 1] == (
        r"Variant & $n$ & incidence $\uparrow$ & incidence $\uparrow$ (best) & max\_eigenvalue $\downarrow$ \\"
    )
    assert lines[start + 3] == r"cma\_es & 2 & 0.200 [0.100, 0.300] & 0.200 [0.100, 0.300] & $-$2.00 [--] \\"
    assert lines[start + 5 : start + 7] == [r"\midrule", r"\multicolumn{5}{l}{\emph{Baselines}} \\"]
    assert lines[start + 7].endswith(r"\textbf{$-$9.50 [$-$9.50, $-$9.50]} \\")
    assert lines[start + 8] == r"\bottomrule"


def test_latex_is_balanced_and_escaped(study):
    study.run("a", variant=r"[50 % & #1_{x} ~^$ \cmd <b> | µ", result={"last/incidence": 1, "best/incidence": 2})
    study.run("b", variant="*", result={"last/incidence": 2})
    text = render(table_of(study), "latex")
    assert re.findall(r"\\begin{(\w+)}", text) == ["table", "tabular", "minipage"]
    assert sorted(re.findall(r"\\begin{(\w+)}", text)) == sorted(re.findall(r"\\end{(\w+)}", text))
    body = text.split("\n", 1)[1]
    assert re.search(r"(?<!\\)[%#_~^]", re.sub(r"\$\^\\circ\$", "", body)) is None
    assert re.sub(r"\\[{}]", "", body).count("{") == re.sub(r"\\[{}]", "", body).count("}")
    assert len(re.findall(r"(?<!\\)\$", body)) % 2 == 0
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {4}
    # A bracket or star at the beginning of a row would be an argument of the line break before it.
    assert all(following[0] not in "[*" for _, following in pairwise(rows))
    assert r"{}[50 \% \& \#1\_\{x\} \textasciitilde{}\textasciicircum{}\$ \textbackslash{}cmd" in body


def test_terminal(study):
    two_algorithms(study)
    lines = render(table_of(study), "terminal").splitlines()
    assert " ".join(lines[0].split()) == "variant n incidence ↑ incidence ↑ (best) max_eigenvalue ↓"
    assert lines[2].split()[:4] == ["cma_es", "2", "0.200", "[0.100,"]
    # Baselines stand below a rule, and the intervals in brackets are not read as markup.
    assert lines[4].strip() == ""
    assert lines[5].startswith("random (baseline)")
    assert "[0.400, 0.600]" in lines[5]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.61, 0.004, 0.0], ["0.610", "0.004", "0.000"]),
        ([1.0, 0.986], ["1.000", "0.986"]),
        ([-41.21, -0.84], ["-41.2", "-0.8"]),
        ([1234.5, 999.0], ["1234", "999"]),
        # The smallest would vanish.
        ([12.34, 0.0004], ["12.3", "4.00e-04"]),
        ([2.5e7, 1.0], ["2.50e+07", "1.00"]),
        ([float("inf"), 2.0], ["inf", "2.00"]),
        ([0.0, 0.0], ["0", "0"]),
        ([float("nan")], ["nan"]),
    ],
)
def test_numbers_of_a_column(values, written):
    number = number_format(values)
    assert [number(value) for value in values] == written


def test_rounding_leaves_no_minus_zero():
    assert number_format([0.5, -0.2])(-1e-9) == "0.000"
    assert three_digits(-0.0) == "0"
