"""Models from files, edits, and what is said of those that cannot be used."""

import gzip
import pickle
from pathlib import Path
from typing import Any

import cobra
import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.dfba.linear_program import LinearProgram
from bioppo.envs.dfba.model import FluxModel, load_model
from bioppo.envs.dfba.model_sources.balance import element_matrix, parse_formula, unbalanced_reactions

SMALL = Path(cobra.__file__).parent / "data"
XYLANASE_PART = "MFKFKKNFLVGLSAALMSISLFSATASA"
OWN = """
objective: growth
exchanges: {S: S_e}
reactions:
  S_e: {stoichiometry: {S: -1}, lower: -10, upper: 0}
  growth: {stoichiometry: {S: -1}}
"""


def growth(model: FluxModel) -> float:
    exchanges = list(model.exchanges.values())
    engine = LinearProgram(model, varying=exchanges, tracked=exchanges, tie_break="vertex", cross_check=0.0)
    return float(engine.solve(model.lower[exchanges][None], model.upper[exchanges][None]).growth[0])


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(text: str, name: str = "model.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write_file


def test_textbook_is_what_cobra_ships() -> None:
    model = load_model("bundled:textbook")
    assert model.stoichiometry.shape == (72, 95)
    assert len(model.exchanges) == 20
    assert model.reactions[model.exchanges["glc__D_e"]] == "EX_glc__D_e"
    assert model.formulas is not None
    assert model.formulas["glc__D_e"] == "C6H12O6"
    assert model.charges is not None
    assert model.charges["atp_c"] == -4
    assert growth(model) == pytest.approx(0.8739215069684307, abs=1e-9)


def test_formats_of_cobra_agree() -> None:
    from cobra.io import read_sbml_model

    names = ("mini.json", "mini.yml", "mini.mat", "mini_cobra.xml")
    assert "several objectives (ATPM, PFK)" in mistake(str(SMALL / "mini.json"))
    models = [load_model(str(SMALL / name), edits={"biomass": "ATPM"}) for name in names]
    source = read_sbml_model(str(SMALL / "mini_cobra.xml"))
    for model in models:
        assert set(model.exchanges) == {"glc__D_e", "h_e", "lac__D_e"}
        matrix = model.stoichiometry.toarray()
        for column, name in enumerate(model.reactions):
            reaction = source.reactions.get_by_id(name)
            stoichiometry = {model.metabolites[row]: matrix[row, column] for row in np.flatnonzero(matrix[:, column])}
            assert stoichiometry == {metabolite.id: number for metabolite, number in reaction.metabolites.items()}
            assert (model.lower[column], model.upper[column]) == reaction.bounds
        assert len(model.reactions) == len(source.reactions)


def test_models_are_read_once_until_the_file_changes(write: Any) -> None:
    path = write(OWN)
    model = load_model(path)
    assert load_model(path) is model
    assert model.upper[model.objective] == 1000.0
    assert growth(model) == 10.0
    write(OWN.replace("-10", "-7.5"))
    assert growth(load_model(path)) == 7.5
    assert load_model("toy_sa") is load_model("toy_sa", edits=None)
    copied = pickle.loads(pickle.dumps(model))
    assert copied.reactions == model.reactions
    assert np.array_equal(copied.stoichiometry.toarray(), model.stoichiometry.toarray())


def test_exchanges_are_turned_to_secrete(tmp_path: Path) -> None:
    source = cobra.Model("turned")
    metabolite = cobra.Metabolite("s_e", compartment="e")
    uptake = cobra.Reaction("EX_s_e", lower_bound=-3.0, upper_bound=5.0)
    uptake.add_metabolites({metabolite: 2.0})
    biomass = cobra.Reaction("biomass", upper_bound=1000.0)
    biomass.add_metabolites({metabolite: -1.0, cobra.Metabolite("x_c", compartment="c"): 1.0})
    drain = cobra.Reaction("DM_x_c", upper_bound=1000.0)
    drain.add_metabolites({cobra.Metabolite("x_c", compartment="c"): -1.0})
    source.add_reactions([uptake, biomass, drain])
    source.objective = "biomass"
    cobra.io.save_json_model(source, str(tmp_path / "turned.json"))
    model = load_model(str(tmp_path / "turned.json"))
    column = model.exchanges["s_e"]
    assert (model.lower[column], model.upper[column]) == (-10.0, 6.0)
    assert model.stoichiometry[[model.metabolites.index("s_e")], [column]] == -1.0
    assert growth(model) == pytest.approx(10.0)


def test_edits() -> None:
    model = load_model(
        "bundled:textbook",
        edits={
            "remove": ["EX_fru_e"],
            "bounds": {"EX_o2_e": [0, 0]},
            "add_reactions": {"spill": {"stoichiometry": {"atp_c": -1, "adp_c": 1, "pi_c": 1, "h2o_c": -1, "h_c": 1}}},
        },
    )
    assert "EX_fru_e" not in model.reactions
    assert "fru_e" not in model.exchanges
    assert model.upper[model.position("EX_o2_e")] == 0.0
    assert model.upper[model.position("spill")] == 1000.0
    assert growth(model) == pytest.approx(0.2116629497353098, abs=1e-9)
    assert load_model("bundled:textbook").reactions != model.reactions
    other = load_model("bundled:textbook", edits={"biomass": "ATPM", "bounds": {"ATPM": [0, 1000]}})
    assert growth(other) == pytest.approx(175.0)


def test_enzymes_are_made_of_amino_acids_and_energy() -> None:
    """By hand for a short peptide: 28 residues, 4.2 ATP each."""
    enzyme = {"name": "xylanase", "sequence": XYLANASE_PART, "atp_per_aa": 4.2}
    model = load_model("bundled:iJO1366", edits={"enzymes": [enzyme]})
    column = model.stoichiometry[:, [model.position("xylanase_production")]].toarray()[:, 0]
    used = {model.metabolites[row]: column[row] for row in np.flatnonzero(column)}
    total = 28 + 28 * 4.2
    assert len(XYLANASE_PART) == 28
    assert used["phe__L_c"] == pytest.approx(-XYLANASE_PART.count("F") / total)
    assert used["atp_c"] == pytest.approx(-28 * 4.2 / total)
    assert used["adp_c"] == used["pi_c"] == pytest.approx(28 * 4.2 / total)
    assert used["xylanase"] == pytest.approx(1 / total)
    consumed = sum(value for name, value in used.items() if value < 0)
    assert consumed == pytest.approx(-1.0)
    assert (model.lower[model.position("xylanase_production")], model.upper[model.position("xylanase_production")]) == (
        0.0,
        100.0,
    )
    assert model.reactions[model.exchanges["xylanase"]] == "EX_xylanase_e"


def test_reactions_that_make_something_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert not unbalanced_reactions(load_model("bundled:textbook"))
    assert not unbalanced_reactions(load_model("toy_sa"))
    assert not caplog.records
    added = {"stoichiometry": {"atp_c": -1, "adp_c": 1, "glc__D_e": 1}}
    model = load_model("bundled:textbook", edits={"add_reactions": {"magic": added}})
    assert unbalanced_reactions(model) == {"magic": {"C": 6.0, "H": 12.0, "O": 3.0, "P": -1.0, "charge": 1.0}}
    assert "do not conserve elements or charge by the file's formulas: 1, such as magic (C +6" in caplog.text
    more = {f"magic_{number}": added for number in range(6)}
    load_model("bundled:textbook", edits={"add_reactions": more})
    assert "by the file's formulas: 6, such as magic_0 (C +6" in caplog.text
    assert "magic_4 (C +6" in caplog.text
    assert "magic_5 (C" not in caplog.text
    names, matrix = element_matrix(model)
    glucose = matrix[:, model.metabolites.index("glc__D_e")]
    assert dict(zip(names, glucose, strict=True)) == {"C": 6, "H": 12, "N": 0, "O": 6, "P": 0, "S": 0, "charge": 0}
    assert parse_formula("C2H5O0.5R") == {"C": 2.0, "H": 5.0, "O": 0.5, "R": 1.0}
    assert parse_formula("(C6H10O5)n") is None


def mistake(name: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load_model(name, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_unknown_names() -> None:
    assert "did you mean toy_sa" in mistake("toy_s")
    assert "did you mean iJO1366" in mistake("bundled:iJO136")
    assert "there is no such file" in mistake("nowhere/model.xml")
    for ending in ("pickle", "pkl"):
        assert "save the model as SBML or JSON" in mistake(f"model.{ending}")


def test_models_of_bigg_need_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = mistake("bigg:iYO844")
    assert "allow_download=true" in text
    assert "http://bigg.ucsd.edu/static/models/iYO844.xml.gz" in text
    assert "BiGG id" in mistake("bigg:../../etc/passwd")
    served = tmp_path / "textbook.xml.gz"
    served.write_bytes((SMALL / "textbook.xml.gz").read_bytes())
    monkeypatch.setattr("bioppo.envs.dfba.model_sources.bigg.ADDRESS", f"file://{tmp_path}/{{identifier}}.xml.gz")
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    assert "Cannot download" in mistake("bigg:missing", allow_download=True)
    assert not list((tmp_path / "cache").rglob("missing*"))
    model = load_model("bigg:textbook", allow_download=True)
    served.unlink()
    assert load_model("bigg:textbook").reactions == model.reactions


def test_files_that_cannot_be_read(write: Any, tmp_path: Path) -> None:
    assert "cobra cannot read it" in mistake(write("not a model", "model.json"))
    assert "has no flux bounds (fbc)" in mistake(write("<sbml></sbml>", "model.xml"))
    (tmp_path / "model.xml.gz").write_bytes(gzip.compress(b"<sbml fbc>")[:-4])
    assert "cannot be read" in mistake(str(tmp_path / "model.xml.gz"))
    assert "no valid YAML" in mistake(write("a: [", "broken.yaml"))
    assert "give objective, exchanges" in mistake(write("reactions: {}"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("objective: growth", "objective: grwth", "did you mean growth?"),
        ("{S: S_e}", "{S: S_x}", "name S_x, which is no reaction"),
        ("{S: S_e}", "{T: S_e}", "the exchange S_e must have the stoichiometry {T: -1}"),
        ("lower: -10", "lower: 10", "bounds of S_e are [10, 0]: give lower <= upper"),
        ("lower: -10", "lower: .nan", "bounds of S_e are [nan, 0]: give numbers"),
    ],
)
def test_mistakes_in_own_files(write: Any, old: str, new: str, words: str) -> None:
    assert words in mistake(write(OWN.replace(old, new)))


def test_objectives_that_are_no_growth(tmp_path: Path) -> None:
    source = cobra.io.load_json_model(str(SMALL / "mini.json"))
    for objective, words in (({}, "has no objective"), (["ATPM"], "maximises ATPM"), (["ATPM", "GLCpts"], "several")):
        source.objective = {source.reactions.get_by_id(name): 1.0 for name in objective} if objective else {}
        path = str(tmp_path / f"objective_{len(objective)}.json")
        cobra.io.save_json_model(source, path)
        text = mistake(path)
        assert words in text
        assert "biomass: <id>" in text
        assert load_model(path, edits={"biomass": "ATPM"}).reactions


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"remov": []}, "did you mean remove?"),
        ({"remove": ["Glc_x"]}, "did you mean Glc_e"),
        ({"remove": "Glc_e"}, "give a list of reactions"),
        ({"bounds": {"Glc_e": [1]}}, "give [lower, upper]"),
        ({"bounds": {"Glc_e": [1, 0]}}, "give lower <= upper"),
        ({"biomass": "growth"}, "no reaction 'growth'"),
        ({"biomass": "X_Ex", "objective": "X_Ex"}, "keep one"),
        ({"add_reactions": {"Glc_e": {"stoichiometry": {"Glc": -1}}}}, "give it another name"),
        ({"add_reactions": {"new": {"lower": 0}}}, "give stoichiometry"),
        ({"add_reactions": {"new": {"stoichiometry": {"Glc": -1}, "exchange": "Glc"}}}, "two exchanges for Glc"),
        (
            {"add_reactions": {"new": {"stoichiometry": {"Glc": -2}, "exchange": "Glc"}}},
            "has the stoichiometry {Glc: -1}",
        ),
        ({"enzymes": [{"name": "e", "sequence": "MK"}]}, "lacks 'atp_per_aa'"),
        ({"enzymes": [{"name": "e", "sequence": "MXZ", "atp_per_aa": 4}]}, "has X, Z: give the 20 amino acids"),
        (
            {"enzymes": [{"name": "e", "sequence": "M", "atp_per_aa": 4}]},
            "no metabolite for M of the enzyme e, 'met__L_c'",
        ),
        ({"enzymes": [{"name": "e", "sequence": "", "atp_per_aa": 4}]}, "has 0 amino acids"),
    ],
)
def test_mistakes_in_edits(edits: dict[str, Any], words: str) -> None:
    assert words in mistake("toy_sa", edits=edits)


def test_unknown_reactions_name_the_nearest() -> None:
    with pytest.raises(UserError, match=r"toy_sa has no reaction 'Amylase': did you mean .*Amylase_e"):
        load_model("toy_sa").position("Amylase")
