"""Case files: those that are shipped, and every mistake in one sentence with key, value and remedy."""

import copy
import warnings

import pytest

import bioppo
from bioppo import UserError
from bioppo.cli.main import main
from bioppo.envs.dfba.culture.case import load_case
from bioppo.envs.dfba.options import CASES, case_names, load_options, plain_case

SHIPPED = [
    "necom/auxotrophs", "necom/facultative", "necom/no_overlap", "necom/no_overlap_dilution",
    "starch_amylase/five", "starch_amylase/five_mass_transfer", "starch_amylase/single", "starch_amylase/two",
]  # fmt: skip


def content(name="starch_amylase/two"):
    return copy.deepcopy(plain_case(load_options(name)))


def changed(path, value, name="starch_amylase/two"):
    case = content(name)
    *parents, last = path
    place = case
    for key in parents:
        place = place[key]
    place[last] = value
    return case


def test_all_shipped_cases_are_known():
    assert set(SHIPPED) <= set(case_names())


@pytest.mark.parametrize("name", case_names())
def test_shipped_cases_compose_and_say_what_they_are(name, capsys):
    assert main(["train", "env=dfba", f"env/case={name}", "algo=random", "--cfg", "job"]) == 0
    assert f"horizon_steps: {load_options(name).horizon_steps}" in capsys.readouterr().out
    assert (CASES / f"{name}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_toy_cases_equal_the_recorded_ones(golden, name):
    recorded = {
        "starch_amylase/single": "starch_single",
        "starch_amylase/two": "starch_two",
        "starch_amylase/five": "starch_five",
        "starch_amylase/five_mass_transfer": "starch_five_mass_transfer",
    }.get(name, name.replace("/", "_"))
    ours, theirs = load_case(name), load_case(golden.case_of(recorded))
    assert ours.names == theirs.names
    assert ours.initial.tolist() == theirs.initial.tolist()
    assert (ours.dt_h, ours.horizon_steps) == (theirs.dt_h, theirs.horizon_steps)
    assert ours.reactor.inlet.tolist() == theirs.reactor.inlet.tolist()
    assert ours.reactor.dilution == theirs.reactor.dilution
    assert ours.extracellular.stoichiometry.tolist() == theirs.extracellular.stoichiometry.tolist()
    for one, other in zip(ours.agents, theirs.agents, strict=True):
        assert one.model is other.model
        assert one.observables == other.observables
        assert [(a.label, a.kind) for a in one.actions] == [(a.label, a.kind) for a in other.actions]


AGENT = ("agents", "agent1")
ACTION = (*AGENT, "actions")
MISTAKES = [
    ((*ACTION,), [{"reaction": "Amylase_ee"}], "toy_sa has no reaction 'Amylase_ee': did you mean Amylase_e or"),
    ((*AGENT, "biomass"), "X_Exx", "agents.agent1.model: biomass in edits: toy_sa has no reaction 'X_Exx': did you"),
    ((*AGENT, "model"), "toy_sb", "agents.agent1.model: "),
    (("initial", "Glu"), 1.0, "initial names Glu, which is not known: did you mean Glc, or declare it in species:."),
    (("reactor", "inlet"), {"Stach": 1}, "reactor.inlet names Stach, which is not known: did you mean Starch, or"),
    ((*AGENT, "observables"), ["Gcl"], "agents.agent1.observables names Gcl, which is not known: did you mean Glc"),
    (("extracellular", 0, "enzyme"), "Amilase", "extracellular[0].enzyme names Amilase, which is not known: did you"),
    (("extracellular", 0, "law"), "michaelis", "extracellular[0].law=michaelis: "),
    (("initial", "Glc"), -1, "initial.Glc=-1: give a number of at least 0."),
    (("initial", "Glc"), float("nan"), "initial.Glc=nan: give a number of at least 0."),
    (("initial",), {"Glc": 1}, "initial gives no biomass to agent1, agent2: give one of them more than 0 gDW/L."),
    ((*AGENT, "kinetics"), {"default": {"Km": 0}}, "agents.agent1.kinetics.default.Km=0: give a number above 0."),
    ((*AGENT, "kinetics"), {"Glc": {"Vmax": -1}}, "agents.agent1.kinetics.Glc.Vmax=-1: give a number of at least 0."),
    ((*AGENT, "kinetics"), {"Glc": {"vmax": 1}}, "no key 'agents.agent1.kinetics.Glc.vmax': did you mean Vmax"),
    (("dt_h",), 0.0, "dt_h=0.0: give a value of greater than 0 h."),
    (("horizon_steps",), 0, "horizon_steps=0: give a value of at least 1."),
    (("reactor", "dilution_per_h"), 10.0, "reactor.dilution_per_h=10 with dt_h=0.1: their product must be below 1"),
    (("reactor", "kind"), "chemostaat", "reactor.kind=chemostaat: did you mean chemostat?"),
    (ACTION, [{"reaction": "Amylase_e", "low": 2, "high": 1}], "actions[0]: low=2 and high=1; give low <= high."),
    (ACTION, [{"reaction": "Amylase_e", "high": 2000}], "high=2000 forces more than the upper bound 1000 of Amylase_e"),
    (ACTION, [{"reaction": "Amylase_e", "kind": "floor"}], "agents.agent1.actions[0].kind=floor: did you mean"),
    (ACTION, [{"kind": "feed_rate"}], "kind=feed_rate with reactor.kind=chemostat: only a fed_batch is fed."),
    (("constant",), ["Starch"], "constant holds Starch and reactor.inlet.Starch=10 feeds it: drop one of both."),
    (("species",), ["Glc", "Glc", "P", "Amylase", "Starch"], "agents and species name Glc twice"),
    (("species",), ["Glc", "agent1", "P", "Amylase", "Starch"], "agents and species name agent1 twice"),
    ((*AGENT, "modle"), "toy_sa", "There is no key 'agents.agent1.modle': did you mean model?"),
    (("agents",), {"agent1": {}}, "agents.agent1={}: give at least model"),
    (("initial", "Glc"), 0.1, "agents.agent1: the model toy_sa has no flux at the start: ATP_M is at least 1"),
    (("extracellular", 0), {"stoichiometry": {"Glc": 1}, "law": "expression", "rate": "k*Glc"}, "column 1: there is"),
    (
        ("extracellular", 0),
        {"stoichiometry": {"Glc": 1}, "law": "expression", "rate": "log(P)"},
        "expression 'log(P)' is not finite at P=0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "sentence"), MISTAKES)
def test_mistakes_are_told_with_key_value_and_remedy(path, value, sentence):
    with pytest.raises(UserError) as raised:
        bioppo.make_env("dfba", num_envs=1, case=changed(path, value))
    assert sentence in str(raised.value)
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "env/case=starch_amylase/too",
            "env/case=starch_amylase/too does not exist: did you mean starch_amylase/two or",
        ),
        ("env.case.initial.Gluc=3", "There is no key 'env.case.initial.Gluc': did you mean env.case.initial.Glc or"),
        ("+env.case.initial.Gluc=3", "initial names Gluc, which is not known: did you mean Glc, or declare it"),
        ("env.observation.scaling=log", "env.observation.scaling=log: choose one of raw, log1p, fixed."),
    ],
)
def test_mistakes_on_the_command_line(words, sentence, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "env=dfba", words, "algo=random"]) == 2
    assert sentence in capfd.readouterr().err


def test_infeasible_starts_name_bound_and_shortfall():
    with pytest.raises(UserError, match=r"ATP_M is at least 1 and lacks 0\.802 mmol/gDW/h; raise initial"):
        bioppo.make_env("dfba", num_envs=1, case=changed(("initial", "Glc"), 0.1))


def test_microbes_that_cannot_grow_are_told_what_they_lack():
    case = content("necom/auxotrophs") | {"grows_at_start": True}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bioppo.make_env("dfba", num_envs=1, case=case)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == 2
    assert "agents.agent1: the model necom_aux_1 cannot grow at the start: any of A would restore growth" in texts[0]
    assert "necom_aux_2 cannot grow at the start: any of B would restore growth" in texts[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agents:\n  a: {model: toy_sa}\n  a: {model: toy_sa}\n", "'a' stands in line 2 and in line 3"),
        ("agents: [", "is no YAML"),
        ("- 1\n", "holds no keys"),
        ("agentz: {}\n", "There is no key 'case.agentz': did you mean agents?"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        load_case(str(path))
    assert words in str(raised.value)
    with pytest.raises(UserError, match="cannot be read"):
        load_case(str(tmp_path / "other.yaml"))
    with pytest.raises(UserError, match=r"case=starch does not exist: .*starch_amylase"):
        load_case("starch")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"infeasible": ["hope"]}, "env.infeasible=hope: choose among freeze, clip_action"),
        ({"reward": "profit"}, "env.reward=profit: choose one of growth"),
        ({"reward": "release:Gold"}, "reward=release:Gold: choose one of Glc, P, Amylase, Starch."),
        ({"substeps": "many"}, "env.substeps=many: give a whole number or auto."),
        ({"frame_skip": 7}, "env.frame_skip=7 does not divide case.horizon_steps=1000"),
        ({"semantics": "spam", "substeps": 2}, "env.substeps=2: semantics=spam has one"),
        ({"semantics": "spam", "integrator": "lsoda"}, "env.integrator=lsoda: it integrates batch and chemostat"),
        ({"observation": {"scale": {"Gluc": 1}}}, "observation.scale names Gluc, which is not known"),
        ({"case": {"dt_h": 0.2}}, "agents={}: give at least one agent"),
    ],
)
def test_options_that_do_not_fit(options, words):
    with pytest.raises(UserError) as raised:
        bioppo.make_env("dfba", **options)
    assert words in str(raised.value)


def test_a_forced_inner_reaction_is_kept_only_in_spam(golden):
    case = golden.case_of("carry_over")
    with pytest.warns(UserWarning, match=r"agents.agent1.actions\[0\].*Amylase_Prod.*semantics=standard"):
        bioppo.make_env("dfba", num_envs=1, case=case)
    bioppo.make_env("dfba", num_envs=1, case=case, semantics="spam")
