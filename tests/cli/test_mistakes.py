"""Every mistake ends in one sentence on standard error, with status 2, and nothing is lost."""

import pytest

from bioppo.cli.main import main

MISTAKES = {
    "trian": "There is no command 'trian': did you mean train?",
    "train": "env=... is missing: write env=kinetic or perturbation",
    "train env=kinetic": "algo=... is missing: write algo=ppo or trpo or trpo_ppo or masked_ppo or independent_ppo",
    "train env=kinetik algo=ppo": "env=kinetik does not exist: did you mean kinetic?",
    "train env=kinetic algo=pppo": "algo=pppo does not exist: did you mean ppo or",
    "train env=kinetic algo=ppo tracker=wandbb": "tracker=wandbb does not exist: did you mean wandb?",
    "train env=kinetic algo=ppo debug=slow": "debug=slow does not exist: choose one of fast.",
    "train env=kinetic algo=ppo env.horizn=3": "There is no key 'env.horizn': did you mean env.horizon",
    "train env=kinetic algo=ppo budgte=3": "There is no key 'budgte': did you mean budget?",
    "train env=kinetic algo=ppo +extra=3": "There is no key 'extra': did you mean",
    "train env=kinetic algo=ppo +algo.extra=3": "There is no key 'algo.extra'",
    "train env=kinetic algo=ppo env.horizon=abc": "could not be converted to Integer; give a whole number.",
    "train env=kinetic algo=ppo algo.gamma=x": "could not be converted to Float; give a number.",
    "train env=kinetic algo=ppo env.time_feature=3x": "give true or false.",
    "train env=kinetic algo=ppo env.member=null": "not Optional; give a value other than null.",
    "train env=kinetic algo=ppo seed=-1": "seed=-1: give a value of at least 0.",
    "train env=kinetic algo=ppo env.horizon=0": "env.horizon=0: give a value of at least 1.",
    "train env=kinetic algo=ppo algo.gamma=1.5": "algo.gamma=1.5: give a value of at most 1.",
    "train env=kinetic algo=ppo env.beta=0": "env.beta=0.0: give a value of greater than 0.",
    "train env=kinetic algo=ppo env.beta=inf": "env.beta=inf: give a finite number.",
    "train env=kinetic algo=ppo env.reward=best": "env.reward=best: choose one of asinh_potential, asinh, sigmoid",
    "train env=kinetic algo=ppo env.low=7": "env.low=7 and high=6: give low < high.",
    "train env=kinetic algo=ppo env.lambda_part=1": "env.lambda_part=1: a valid set is stable",
    "train env=kinetic algo=ppo env.lambda_part=auto": "give a negative number or auto_saturation or auto_log_uniform.",
    "train env=kinetic algo=ppo evaluation.episodes=0": "evaluation.episodes=0: give a value of at least 1.",
    "train env=kinetic algo=ppo checkpoint.every=0": "checkpoint.every=0: give a value of at least 1.",
    "train env=kinetic algo=ppo algo.hidden_sizes=[0]": "algo.hidden_sizes=[0]: give positive numbers",
    "train env=kinetic algo=ppo algo.batch_size=7": "algo.batch_size=7 does not divide the 320 transitions",
    "train env=kinetic algo=ppo device=cuda": "device=cuda: torch sees no CUDA device here; use device=cpu",
    "train env=kinetic algo=ppo device=gpu": "device=gpu: choose auto, cpu, cuda or cuda:N.",
    "train env=kinetic algo=ppo display=loud": "display=loud: choose one of auto, rich, plain, off.",
    "train env=kinetic algo=ppo env._target_=envs.kinetic.environment.KineticVectorEnv": "write bioppo.envs.kinetic",
    "train kinetic ppo": "'kinetic' is not an override: write key=value, such as env=kinetic.",
    "train env=kinetic algo=ppo env.reward=[1": "An override cannot be read",
    "train env=kinetic algo=ppo --fast": "There is no option '--fast'",
    "train env=kinetic algo=ppo --config-dir=nowhere": "not found",
    "sweep env=kinetic algo=ppo,sac seed=0": "algo=sac does not exist",
    "list envs": "invalid choice: 'envs'",
    "evaluate": "the following arguments are required: run",
    "evaluate nowhere": "nowhere is not a run directory: it has no config.yaml, so give one that bioppo train made.",
    "table nowhere": "nowhere",
    "plot nowhere": "nowhere",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence(line, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    error = capfd.readouterr().err
    sentence = [text for text in error.splitlines() if not text.startswith("[")]  # Hydra's log lines in a sweep
    assert len(sentence) == 1, error
    assert sentence[0].startswith("bioppo: ")
    assert MISTAKES[line] in sentence[0]
    assert "Traceback" not in error


def test_a_bug_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bioppo.cli.list.print_group", lambda *arguments, **keywords: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_debugging_shows_the_traceback_of_a_mistake(tmp_path, monkeypatch):
    from bioppo import UserError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIOPPO_DEBUG", "1")
    with pytest.raises(UserError, match="at least 1"):
        main("train env=kinetic algo=ppo env.horizon=0".split())
