import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from bioppo.cli.list import KINDS
from bioppo.cli.main import COMMANDS, main
from bioppo.cli.overrides import sweep_directory
from bioppo.configs.registry import GROUPS, yaml_choices
from bioppo.configs.schema import RunConfig, to_run_config

SMALL = (
    "env=kinetic env.lambda_part=-20 env.num_envs=8 evaluation.episodes=10 budget=100 evaluation.every=50 device=cpu"
).split()
KIND_HEADINGS = tuple(KINDS.values())
PPO = "algo=ppo algo.batch_size=20 algo.hidden_sizes=[8]".split()


def run(line, *more):
    return main([*line.split(), *more])


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(words, capsys):
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert all(f"  {command} " in shown for command in COMMANDS)
    assert all(find_spec(f"bioppo.cli.{command}") for command in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bioppo 0.")


def test_help_and_composing_import_nothing_heavy():
    code = (
        "import sys, io, contextlib, itertools\n"
        "from bioppo.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])\n"
        "    assert not {'hydra', 'omegaconf', 'numpy'} & set(sys.modules), 'help'\n"
        "    pairs = [[f'env={env}', f'algo={algo}'] for env, algo in itertools.product(ENVS, ALGOS)]\n"
        "    for words in [*pairs, *[[*pairs[0], f'tracker={tracker}'] for tracker in TRACKERS]]:\n"
        "        assert main(['train', *words, '--cfg', 'job']) == 0\n"
        "heavy = {'torch', 'stable_baselines3', 'cobra', 'scanpy', 'pandas', 'matplotlib', 'scipy'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    values = {"ENVS": GROUPS["env"], "ALGOS": GROUPS["algo"], "TRACKERS": GROUPS["tracker"]}
    header = "".join(f"{name} = {list(choices)!r}\n" for name, choices in values.items())
    done = subprocess.run([sys.executable, "-c", header + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_listed_with_its_meaning(group, capsys):
    assert run(f"list {group}") == 0
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if not line.endswith(KIND_HEADINGS)]
    assert sorted(line.split()[0] for line in lines) == sorted({*GROUPS[group], *yaml_choices(group)})
    assert all(len(line.split(maxsplit=1)[1]) > 10 for line in lines)
    assert run("list") == 0
    everything = capsys.readouterr().out
    assert all(line in everything for line in lines)


def test_hydras_own_flags_work(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("train env=kinetic algo=ppo --cfg job --resolve algo.learning_rate=5e-4") == 0
    shown = capsys.readouterr().out
    assert "learning_rate: 0.0005" in shown
    assert "n_steps: 5" in shown  # tuned for the pair, and resolved
    assert list(tmp_path.iterdir()) == []
    presets = tmp_path / "mine" / "env"
    presets.mkdir(parents=True)
    (presets / "short.yaml").write_text("defaults: [kinetic]\nhorizon: 2\n")
    assert main(["train", "env=short", "algo=random", "--config-dir", "mine", "--cfg", "job"]) == 0
    assert "horizon: 2" in capsys.readouterr().out


def test_a_run_trains_finishes_and_is_found_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, *PPO]) == 0
    first = capsys.readouterr().out
    (result,) = tmp_path.rglob("result.json")
    directory = result.parent.relative_to(tmp_path)
    assert directory.parts[:2] == ("results", "adhoc")
    assert directory.parts[2].startswith("kinetic-ppo-")
    assert directory.parts[3] == "seed_0"
    assert f"Finished: {directory}" in first
    assert "(oracle)" in first
    assert {path.name for path in (directory / "figures").iterdir()} >= {"reward.png", "eigenvalues.svg"}
    assert main(["train", *SMALL, *PPO]) == 0
    assert f"Already finished: {directory}" in capsys.readouterr().out
    assert main(["evaluate", str(directory), "--episodes", "20", "--seed", "3", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores.keys() >= {"incidence", "first_hit", "lambda_max"}
    assert main(["evaluate", str(directory), "--episodes", "0"]) == 2
    assert main(["evaluate", str(directory), "--checkpoint", "first"]) == 2
    assert "choose one of best, last" in capsys.readouterr().err


def test_a_directory_of_another_config_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "algo=random", "hydra.run.dir=here"]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "here").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["train", *SMALL, "algo=random", "hydra.run.dir=here", "env.horizon=4"]) == 2
    assert "here holds a run of another config (env.horizon is 5 there and 4 here)" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in (tmp_path / "here").rglob("*") if path.is_file()}


def test_a_sweep_gives_one_row_per_variant(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *SMALL, "algo=random,cma_es", "seed=0,1"]) == 0
    shown = capsys.readouterr().out
    directory = shown.split("Next:  bioppo table ")[1].split()[0]
    assert directory.startswith("results/sweeps/kinetic-by-algo-")
    assert len(list((tmp_path / directory).glob("*/seed_*/result.json"))) == 4
    assert main(["table", directory]) == 0
    shown = capsys.readouterr().out
    table = (tmp_path / directory / "table.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert sum("cma_es" in row for row in rows) == 1
    assert sum("random" in row for row in rows) == 1
    assert "oracle" in table
    assert main(["plot", directory]) == 0
    assert len(list((tmp_path / directory / "figures").glob("*.png"))) >= 2
    assert main(["sweep", *SMALL, "algo=random,cma_es", "seed=0,1,2"]) == 0
    assert "6 jobs, 4 already finished" in capsys.readouterr().out


def test_a_sweeps_directory_follows_from_what_is_fixed_and_what_varies():
    base = sweep_directory("env=kinetic algo=ppo algo.learning_rate=1e-4,3e-4 seed=0,1".split())
    assert base.startswith("results/sweeps/kinetic-ppo-by-learning_rate-")
    assert (
        sweep_directory("env=kinetic algo=ppo algo.learning_rate=1e-4,3e-4,1e-3 seed=0,1,2 device=cpu".split()) == base
    )
    assert sweep_directory("env=kinetic algo=ppo algo.learning_rate=1e-4,3e-4 seed=0,1 budget=9".split()) != base
    assert sweep_directory("results=other env=kinetic algo=ppo seed=0,1".split()).startswith(
        "other/sweeps/kinetic-ppo-"
    )
    assert sweep_directory("env=kinetic algo=ppo hydra.sweep.dir=mine seed=0,1".split()) is None


def test_a_saved_config_builds_the_same_objects(tmp_path, monkeypatch):
    import yaml

    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "algo=random", "display=off"]) == 0
    (file,) = tmp_path.rglob("config.yaml")
    saved = yaml.safe_load(file.read_text())
    run_config = to_run_config(saved)
    assert isinstance(run_config, RunConfig)
    assert run_config.env.lambda_part == -20
    assert type(run_config.env).__name__ == "KineticConfig"
    from bioppo.training.build import plain

    assert plain(run_config) == saved


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bioppo tr", "train"),
        ("bioppo ", " ".join(COMMANDS)),
        ("bioppo list a", "algo"),
        ("bioppo train env=k", "env=kinetic"),
        ("bioppo sweep algo=", " ".join(f"algo={name}" for name in sorted(GROUPS["algo"]))),
        ("bioppo train env=kinetic algo=ppo algo.lea", "algo.learning_rate="),
        ("bioppo table ", ""),
    ],
)
def test_completion(line, expected, monkeypatch, capsys):
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert " ".join(capsys.readouterr().out.split()) == expected


def test_completion_installs_for_the_commands_name(monkeypatch, capsys):
    assert main(["-sc", "install=bash"]) == 0
    assert "complete -o nospace -o default -F hydra_bash_completion bioppo" in capsys.readouterr().out


def test_blas_is_pinned_unless_the_user_chose():
    code = "from bioppo.cli.main import main; import os; main(['--version']); print(os.environ['OPENBLAS_NUM_THREADS'])"
    for given, expected in ((None, "1"), ("3", "3")):
        environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
        environment |= {"OPENBLAS_NUM_THREADS": given} if given else {}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == expected
