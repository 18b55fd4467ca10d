"""The equations of trpo_ppo against numbers of an independent program, and against numbers worked by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from bioppo.algorithms.trpo_ppo.config import TRPOPPOConfig
from bioppo.algorithms.trpo_ppo.conjugate_gradient import conjugate_gradient
from bioppo.algorithms.trpo_ppo.distributions import Bernoullis, Categoricals, Gaussian
from bioppo.algorithms.trpo_ppo.fisher import double_backward, flat, gauss_newton
from bioppo.algorithms.trpo_ppo.line_search import backtrack
from bioppo.algorithms.trpo_ppo.natural_step import adapted_delta, step_length, take_natural_step
from bioppo.algorithms.trpo_ppo.penalized_ppo import adapted_beta, policy_terms
from bioppo.algorithms.trpo_ppo.phases import Phase, phase_of, resolved_target_kl
from bioppo.algorithms.trpo_ppo.rollout import minibatches, normalized

FOLDER = Path(__file__).parents[1] / "data" / "trpo_ppo"
ARRAYS = dict(np.load(FOLDER / "policy_arrays.npz"))
VALUES = json.loads((FOLDER / "policy_values.json").read_text())
PRODUCTS = [gauss_newton, double_backward]
DOUBLE, SINGLE = torch.float64, torch.float32


def tensor(name, dtype=DOUBLE):
    return torch.tensor(ARRAYS[name], dtype=dtype)


class Policy(nn.Module):
    """A stored network, whose flat parameters have the stored order."""

    def __init__(self, kind, dtype=DOUBLE, mask=None):
        super().__init__()
        self.layers = nn.ParameterList(tensor(f"{kind}_{part}", dtype) for part in ("W0", "b0", "W1", "b1"))
        self.log_std = nn.Parameter(tensor("g_log_std", dtype)) if kind == "g" else None
        self.mask = mask
        self.observations = tensor("obs", dtype)

    def forward(self, rows=None):
        W0, b0, W1, b1 = self.layers
        x = self.observations if rows is None else self.observations[rows]
        y = torch.tanh(x @ W0.T + b0) @ W1.T + b1
        if self.log_std is not None:
            return Gaussian(y, self.log_std.exp().expand_as(y))
        if self.mask is not None:
            y = torch.where(self.mask, y, torch.tensor(-1e8, dtype=y.dtype))
        return Categoricals(y.log_softmax(dim=1))

    def ordered(self):
        return [*self.layers, *([] if self.log_std is None else [self.log_std])]


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("make", PRODUCTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(DOUBLE, 1e-10), (SINGLE, 1e-4)])
@pytest.mark.parametrize("case", ["g", "c_plain", "c_masked"])
def test_fisher_products_are_those_of_the_stored_hessian(make, dtype, tolerance, case):
    mask = torch.tensor(ARRAYS["c_mask"]) if case == "c_masked" else None
    policy = Policy(case[0], dtype, mask)
    vector = tensor(f"{case[0]}_vector", dtype)
    product = make(policy(), policy.ordered(), scale=1.0, damping=0.0)
    assert relative(product(vector), tensor(f"{case}_Fv", dtype)) < tolerance
    assert relative(product(vector), tensor(f"{case}_hessian", dtype) @ vector) < tolerance
    damped = make(policy(), policy.ordered(), scale=1.0, damping=0.1)
    torch.testing.assert_close(damped(vector), product(vector) + 0.1 * vector, rtol=0, atol=0)
    if case == "g":
        assert relative(damped(vector), tensor("g_Fv_damped", dtype)) < tolerance
        halved = make(policy(), policy.ordered(), scale=0.5, damping=0.0)
        torch.testing.assert_close(halved(vector), 0.5 * product(vector))


@pytest.mark.parametrize("distribution", ["bernoulli", "two choices"])
def test_both_products_agree_for_the_other_distributions(distribution):
    torch.manual_seed(0)
    weight = torch.randn(5, 4, dtype=DOUBLE, requires_grad=True)
    logits = torch.randn(20, 4, dtype=DOUBLE) @ weight.T
    if distribution == "bernoulli":
        policy = Bernoullis(logits)
    else:
        policy = Categoricals(logits[:, :2].log_softmax(dim=1), logits[:, 2:].log_softmax(dim=1))
    vector = torch.randn(20, dtype=DOUBLE)
    one, other = (make(policy, [weight], scale=1.0, damping=0.0)(vector) for make in PRODUCTS)
    assert relative(one, other) < 1e-12
    assert one.norm() > 0.01


def surrogate_gradient(policy):
    new = policy()
    ratio = torch.exp(new.log_prob(tensor("g_actions")) - new.detach().log_prob(tensor("g_actions")))
    return flat(torch.autograd.grad((ratio * tensor("g_advantages")).mean(), policy.ordered()))


def test_the_gradient_is_the_stored_one():
    assert relative(surrogate_gradient(Policy("g")), tensor("g_gradient")) < 1e-10


@pytest.mark.parametrize("make", PRODUCTS)
def test_the_conjugate_gradient_is_the_stored_one(make):
    policy, gradient = Policy("g"), tensor("g_gradient")
    product = make(policy(), policy.ordered(), scale=1.0, damping=0.1)
    before = torch.get_rng_state()
    ten = conjugate_gradient(product, gradient, max_steps=10, tolerance=0.0)
    assert torch.equal(before, torch.get_rng_state())
    assert relative(ten.direction, tensor("g_cg10")) < 1e-8
    np.testing.assert_allclose(ten.residuals, VALUES["gaussian"]["cg_rel_residuals"], rtol=1e-6)
    assert ten.iterations == 10
    assert ten.residual == ten.residuals[-1]
    converged = conjugate_gradient(product, gradient, max_steps=500, tolerance=1e-13)
    assert relative(converged.direction, tensor("g_solve")) < 1e-8
    assert 10 < converged.iterations < 500


def test_the_conjugate_gradient_stops_where_it_cannot_go_on():
    gradient = torch.tensor([1.0, 2.0])
    negative = conjugate_gradient(lambda v: -v, gradient, max_steps=5, tolerance=1e-6)
    assert negative.direction.tolist() == [0, 0]
    assert negative.residual == 1.0
    unknown = conjugate_gradient(lambda v: v * math.nan, gradient, max_steps=5, tolerance=1e-6)
    assert unknown.direction.tolist() == [0, 0]
    nothing = conjugate_gradient(lambda v: v, torch.zeros(2), max_steps=5, tolerance=1e-6)
    assert nothing.iterations == 0
    exact = conjugate_gradient(lambda v: 2 * v, gradient, max_steps=5, tolerance=1e-6)
    assert exact.iterations == 1
    assert exact.direction.tolist() == [0.5, 1.0]


CG10 = {"cg_max_steps": 10, "cg_rel_tol": 0.0}


@pytest.mark.parametrize("fvp", ["gauss_newton", "double_backward"])
@pytest.mark.parametrize("case", VALUES["gaussian"]["line_search_cases"], ids=lambda case: f"delta {case['delta']:g}")
def test_steps_are_the_stored_ones(case, fvp):
    policy = Policy("g")
    config = TRPOPPOConfig(delta=case["delta"], fvp=fvp, **CG10)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    step = take_natural_step(policy, policy.ordered(), tensor("g_actions"), tensor("g_advantages"), config)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002
    assert step.alpha == pytest.approx(case["alpha"], rel=1e-8)
    assert step.accepted.coefficient == pytest.approx(0.8 ** case["backtracks"], rel=1e-12)
    assert step.divergence == pytest.approx(case["kl_accepted"], rel=1e-7)
    assert step.accepted.gain == pytest.approx(case["surrogate_accepted"], rel=1e-7)
    assert step.gradient_norm == pytest.approx(float(tensor("g_gradient").norm()))
    if case["delta"] == 0.01:
        values = VALUES["gaussian"]
        assert relative(parameters_to_vector(policy.ordered()), tensor("g_theta_prime")) < 1e-8
        assert step.divergence == pytest.approx(values["kl_full_step_sum"], rel=1e-8)
        new = policy()
        assert new.divergence(step.old).mean().item() == pytest.approx(values["kl_accepted_reverse_sum"], rel=1e-8)


@pytest.mark.parametrize("fvp", ["gauss_newton", "double_backward"])
def test_damping_by_dimensions_solves_the_system_of_the_mean(fvp):
    def step(**options):
        policy = Policy("g")
        assert policy().components > 1
        config = TRPOPPOConfig(fvp=fvp, line_search=False, **options, **CG10)
        found = take_natural_step(policy, policy.ordered(), tensor("g_actions"), tensor("g_advantages"), config)
        return policy().components, found, parameters_to_vector(policy.ordered()).detach()

    components, mean, moved = step(delta=0.001, kl_reduce="mean")
    _, scaled, moved_as_far = step(delta=0.001 * components, damping_scale="dimensions")
    _, absolute, _ = step(delta=0.001 * components)
    torch.testing.assert_close(moved_as_far, moved, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaled.solution.residuals, mean.solution.residuals, rtol=1e-6)
    assert relative(absolute.solution.direction, scaled.solution.direction) > 0.1
    both = step(delta=0.001, kl_reduce="mean", damping_scale="dimensions")[2]
    assert torch.equal(both, moved)  # the mean is damped per dimension already


def test_without_a_line_search_the_whole_step_is_taken():
    policy = Policy("g")
    case = VALUES["gaussian"]["line_search_cases"][-1]
    config = TRPOPPOConfig(delta=case["delta"], line_search=False, **CG10)
    step = take_natural_step(policy, policy.ordered(), tensor("g_actions"), tensor("g_advantages"), config)
    assert step.divergence == pytest.approx(case["kl_full_step"], rel=1e-7)
    assert step.divergence > case["delta"]
    assert step.accepted.gain == pytest.approx(case["surrogate_full_step"], rel=1e-5, abs=1e-9)


def test_a_step_that_is_not_finite_is_taken_back():
    policy = Policy("g")
    before = parameters_to_vector(policy.ordered()).detach().clone()
    config = TRPOPPOConfig(delta=1e12, line_search=False, **CG10)
    step = take_natural_step(policy, policy.ordered(), tensor("g_actions"), tensor("g_advantages"), config)
    assert step.accepted is None
    assert step.divergence == 0.0
    assert torch.equal(parameters_to_vector(policy.ordered()), before)


@pytest.mark.parametrize("advantages", [torch.zeros(16, dtype=DOUBLE), torch.full((16,), math.nan, dtype=DOUBLE)])
def test_a_direction_that_does_not_ascend_is_not_followed(advantages):
    policy = Policy("g")
    before = parameters_to_vector(policy.ordered()).detach().clone()
    step = take_natural_step(policy, policy.ordered(), tensor("g_actions"), advantages, TRPOPPOConfig())
    assert (step.alpha, step.accepted, step.divergence) == (0.0, None, 0.0)
    assert torch.equal(parameters_to_vector(policy.ordered()), before)


def test_the_length_of_a_step():
    gradient, direction = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0], dtype=DOUBLE)
    assert step_length(gradient, direction, delta=0.02, eps=1e-8) == pytest.approx(0.1)
    assert step_length(gradient, direction, delta=0.02, eps=4.0) == pytest.approx(math.sqrt(0.04 / 8))
    assert step_length(gradient, -direction, delta=0.02, eps=1e-8) == 0.0


def test_backtracking_takes_the_longest_step_that_holds():
    def measure(coefficient):
        return coefficient, 0.7 - coefficient

    found = backtrack(measure, limit=0.9, shrink=0.8, max_iter=10)
    assert found.coefficient == pytest.approx(0.64)
    assert backtrack(measure, limit=0.9, shrink=0.8, max_iter=2) is None
    assert backtrack(lambda _: (math.nan, 1.0), limit=0.9, shrink=0.8, max_iter=10) is None
    assert backtrack(lambda _: (0.1, math.nan), limit=0.9, shrink=0.8, max_iter=10) is None
    shorter = backtrack(lambda c: (c, math.inf if c > 0.7 else 1.0), limit=2.0, shrink=0.8, max_iter=10)
    assert shorter.coefficient == pytest.approx(0.64)  # where no ratio overflows


@pytest.mark.parametrize("case", VALUES["kl_reduce"], ids=lambda case: f"{case['D']} actions")
def test_the_divergence_of_gaussians_is_the_stored_one(case):
    D = case["D"]
    old, new = (
        Gaussian(tensor(f"kl{D}_mean_{when}")[None], tensor(f"kl{D}_log_std_{when}")[None].exp())
        for when in ("old", "new")
    )
    assert old.divergence(new).item() == pytest.approx(case["kl_sum"], rel=1e-12)
    assert old.divergence(new).item() / old.components == pytest.approx(case["kl_mean"], rel=1e-12)


@pytest.mark.parametrize("mode", ["plain", "masked"])
def test_categorical_divergence_and_entropy_are_the_stored_ones(mode):
    policy = Policy("c", mask=torch.tensor(ARRAYS["c_mask"]) if mode == "masked" else None)
    old = policy().detach()
    torch.testing.assert_close(old.fisher_metric()[0], tensor(f"c_{mode}_probs"), rtol=1e-10, atol=0)
    values = VALUES["categorical"]
    assert old.entropy().mean().item() == pytest.approx(values[mode]["entropy_mean"], rel=1e-10)
    vector = tensor("c_vector")
    start = parameters_to_vector(policy.ordered()).detach()
    vector_to_parameters(start + values["kl_step_length"] * vector / vector.norm(), policy.ordered())
    expected = values[mode]["kl_old_new_along_vector"]
    assert old.divergence(policy()).mean().item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", ["gaussian", "bernoulli", "categorical"])
def test_densities_entropies_and_divergences_are_torchs(kind):
    torch.manual_seed(1)
    a, b = torch.randn(2, 7, 3, dtype=DOUBLE), torch.randn(2, 7, 3, dtype=DOUBLE)
    pairs = {
        "gaussian": [(Gaussian(x, y.exp()), Normal(x, y.exp())) for x, y in (a, b)],
        "bernoulli": [(Bernoullis(x), Bernoulli(logits=x)) for x, _ in (a, b)],
        "categorical": [(Categoricals(x.log_softmax(1)), Categorical(logits=x)) for x, _ in (a, b)],
    }
    (ours, theirs), (ours_new, theirs_new) = pairs[kind]
    drawn = theirs.sample()
    several = kind != "categorical"
    expected = [theirs.log_prob(drawn), theirs.entropy(), kl_divergence(theirs, theirs_new)]
    found = [ours.log_prob(drawn if several else drawn[:, None]), ours.entropy(), ours.divergence(ours_new)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.sum(dim=1) if several else other)


def test_the_loss_of_a_minibatch_by_hand():
    # Two states, one action, std 1; ratio = exp(-(a - m)^2 / 2 + (a - m0)^2 / 2).
    reference = Gaussian(torch.zeros(2, 1), torch.ones(2, 1))
    new = Gaussian(torch.tensor([[1.0], [0.5]]), torch.ones(2, 1))
    actions, advantages = torch.tensor([[1.0], [0.0]]), torch.tensor([2.0, -1.0])
    log_prob = reference.log_prob(actions)
    terms = policy_terms(new, reference, log_prob, actions, advantages, None)
    ratios = [math.exp(0.5), math.exp(-0.125)]
    objective = (2 * ratios[0] - ratios[1]) / 2
    divergence = (0.5 + 0.125) / 2
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    assert terms.objective.item() == pytest.approx(objective, rel=1e-6)
    assert terms.divergence.item() == pytest.approx(divergence, rel=1e-6)
    assert terms.entropy.item() == pytest.approx(entropy, rel=1e-6)
    assert terms.largest_ratio.item() == pytest.approx(ratios[0], rel=1e-6)
    value_loss = torch.tensor(((1.0 - 3.0) ** 2 + (2.0 - 1.0) ** 2) / 2)
    total = terms.loss(0.7, 0.01) + 0.5 * value_loss
    assert total.item() == pytest.approx(-objective + 0.7 * divergence - 0.01 * entropy + 1.25, rel=1e-6)
    assert terms.finite
    assert not policy_terms(new, reference, log_prob - 1e3, actions, advantages, None).finite
    assert not policy_terms(new, reference, log_prob - 1e3, actions, abs(advantages), 0.1).finite
    clipped = policy_terms(new, reference, log_prob, actions, advantages, 0.1)
    assert clipped.objective.item() == pytest.approx((2 * 1.1 - 0.9) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("divergences", "expected"),
    [([0.031, 0.05, 0.1], [2.0, 4.0, 8.0]), ([0.013, 0.0, 0.0], [0.5, 0.25, 0.125]), ([0.02, 0.03, 0.014], [1, 1, 1])],
)
def test_beta_follows_the_divergence(divergences, expected):
    beta, found = 1.0, []
    for divergence in divergences:
        beta = adapted_beta(beta, divergence, 0.02)
        found.append(beta)
    assert found == expected


def test_beta_stays_within_its_bounds():
    assert adapted_beta(1e4, 1.0, 0.02) == 1e4
    assert adapted_beta(1e-4, 0.0, 0.02) == 1e-4


@pytest.mark.parametrize("num_envs", [1, 4, 8])
def test_ten_thousand_steps_are_five_trpo_rollouts(num_envs):
    config = TRPOPPOConfig(schedule="two_phase", n_steps=2048 // num_envs)
    phases = [phase_of(config, update * config.n_steps * num_envs) for update in range(8)]
    assert phases == [Phase.TRPO] * 5 + [Phase.PPO] * 3
    assert phase_of(TRPOPPOConfig(schedule="two_phase", trpo_timesteps=4096), 4096) is Phase.PPO
    assert phase_of(TRPOPPOConfig(), 0) is Phase.BOTH


@pytest.mark.parametrize(
    ("options", "divergences", "expected"),
    [
        ({}, [0.01], 0.02),
        ({"target_kl": 1}, [], 1.0),
        ({"target_kl": None}, [0.01], None),
        ({"target_kl": "auto"}, [0.006, 0.01], 1.5 * 0.008),
        ({"target_kl": "auto", "auto_factor": 3.0}, [0.006], 0.018),
        ({"target_kl": "auto", "delta": 0.03}, [], 0.03),
        ({"target_kl": "auto", "delta": 0.03}, [0.0, 0.0], 0.03),
        ({"schedule": "two_phase"}, [0.006, 0.01], 0.012),
        ({"schedule": "two_phase", "target_kl": 0.05}, [0.01], 0.05),
        ({"schedule": "two_phase", "paper_compat_target_kl_zero": True}, [0.01], 0.0),
    ],
)
def test_the_divergence_that_ppo_aims_at(options, divergences, expected):
    assert resolved_target_kl(TRPOPPOConfig(**options), divergences) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("size", "batch_size", "lengths"), [(8, 4, [4, 4]), (9, 4, [4, 5]), (10, 4, [4, 4, 2]), (3, 9, [3]), (1, 4, [1])]
)
def test_minibatches_hold_every_row_once(size, batch_size, lengths):
    parts = list(minibatches(size, batch_size, torch.device("cpu")))
    assert [len(part) for part in parts] == lengths
    assert sorted(torch.cat(parts).tolist()) == list(range(size))


def test_advantages_are_normalised_where_they_differ():
    advantages = normalized(torch.tensor([1.0, 2.0, 6.0]))
    assert advantages.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantages.std().item() == pytest.approx(1.0)
    assert normalized(torch.full((4,), 3.0)).tolist() == [3.0] * 4
    assert normalized(torch.tensor([3.0])).tolist() == [3.0]


@pytest.mark.parametrize(
    ("delta", "gain", "promised", "expected"),
    [
        (0.02, 0.02, 0.1, 0.01),  # a fifth of what was promised
        (0.02, 0.05, 0.1, 0.02),
        (0.02, 0.08, 0.1, 0.03),
        (0.02, 0.0, 0.0, 0.01),  # refused
        (1.0, 1.0, 1.0, 1.0),  # a hundred times the first delta is the end
        (1e-4, 0.0, 1.0, 1e-4),
    ],
)
def test_delta_follows_what_steps_gain_of_what_they_promise(delta, gain, promised, expected):
    assert adapted_delta(delta, 0.01, gain, promised) == pytest.approx(expected)


def test_a_small_step_gains_what_its_gradient_promises():
    config = TRPOPPOConfig(delta=1e-6, **CG10)

    def step_of(**keywords):
        policy = Policy("g")
        data = tensor("g_actions"), tensor("g_advantages")
        return take_natural_step(policy, policy.ordered(), *data, config, **keywords)

    step, larger = step_of(), step_of(delta=1e-5)
    assert step.accepted.gain == pytest.approx(step.promised, rel=1e-2)
    assert larger.divergence > 5 * step.divergence
