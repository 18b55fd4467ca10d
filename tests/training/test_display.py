from rich.console import Console

from bioppo.training.display import summary_table

NAMES = ("pearson_delta_A", "pds_A", "de_overlap_A", "energy_A", "mse_delta_A", "w1_A")
METRICS = [{"name": name, "better": "higher", "meaning": ""} for name in NAMES]
RESULT = {f"{agent}/{name}": -0.0123456 for agent in ("last", "best", "mean_perturbed") for name in NAMES}


def test_a_summary_shows_whole_names_within_80_columns(capsys):
    Console(width=80).print(summary_table(RESULT, METRICS))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert all(name in shown for name in (*NAMES[:4], "(mean_perturbed)", "-0.01235"))
    assert "2 more" in shown
    assert NAMES[4] not in shown
