"""Networks that read cells by index: what they compute, and that they learn what the planner does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from bioppo import UserError
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.episodes.state_reader import StateReader
from bioppo.envs.reprogramming.imitation import Demonstrator
from bioppo.envs.reprogramming.options import TaskOptions
from bioppo.envs.reprogramming.policies import AfterstatePolicy, network_of
from bioppo.envs.reprogramming.revisits import WithoutRevisits
from bioppo.envs.reprogramming.task import ReprogrammingTask


def make(task, name="afterstate", **options):
    torch.manual_seed(0)
    policy, keywords = network_of(task, name, options)
    seen = spaces.Box(0, 2**24, (4,), np.int32)
    return policy(seen, spaces.Discrete(task.n_actions), lambda _: 1e-2, **keywords)


def observe(cell, target):
    observation = np.zeros((len(cell), 4), dtype=np.int32)
    observation[:, 0], observation[:, 1] = cell, target
    return torch.as_tensor(observation)


def test_an_untrained_afterstate_policy_is_greedy(golden_task):
    policy = make(golden_task)
    cell = np.flatnonzero(golden_task.masks_eval.any(axis=1))
    for target in range(golden_task.n_types):
        masks = golden_task.masks_eval[cell]
        actions, _ = policy.predict(
            observe(cell, np.full(len(cell), target)).numpy(), deterministic=True, action_masks=masks
        )
        similar = np.where(masks, golden_task.goals.sim[golden_task.table.next[cell], target], -np.inf)
        reached = similar[np.arange(len(cell)), actions]
        assert np.allclose(reached, similar.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("target", ["type", "centroid"])
def test_actions_with_the_same_next_cell_are_equally_probable(golden_task, target):
    policy = make(golden_task, target=target)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    cell = np.arange(golden_task.n_cells)
    distribution = policy.get_distribution(observe(cell, np.ones_like(cell)))
    logits = distribution.distribution.logits.detach().numpy()
    following = golden_task.table.next
    for row in range(0, len(cell), 17):
        for reached in np.unique(following[row]):
            assert np.ptp(logits[row, following[row] == reached]) < 1e-5


@pytest.mark.parametrize("name", ["afterstate", "embedding", "pca"])
def test_remembered_networks_equal_those_with_gradients(golden_task, name):
    policy = make(golden_task, name)
    seen = observe(np.arange(20), np.arange(20) % golden_task.n_types)
    masks = golden_task.masks_train[:20]
    optimizer = policy.optimizer
    for _ in range(2):
        values, log_probability, _ = policy.evaluate_actions(seen, torch.zeros(20), masks)
        with torch.no_grad():
            remembered, same, _ = policy.evaluate_actions(seen, torch.zeros(20), masks)
        assert torch.allclose(values, remembered, atol=1e-5)
        assert torch.allclose(log_probability, same, atol=1e-5)
        optimizer.zero_grad()
        (values.square().mean() - log_probability[log_probability > -100].mean()).backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["afterstate", "embedding"])
def test_nothing_is_remembered_after_a_step_of_a_fused_optimizer(golden_task, name):
    policy, keywords = network_of(golden_task, name, {})
    seen = spaces.Box(0, 2**24, (4,), np.int32)
    fused = {"optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"fused": True}}
    policy = policy(seen, spaces.Discrete(golden_task.n_actions), lambda _: 1e-2, **keywords, **fused)
    observation = observe(np.arange(20), np.ones(20, dtype=int))
    for _ in range(2):
        loss = policy.predict_values(observation).add(1.0).square().mean()
        with torch.no_grad():
            before = policy.predict_values(observation)
        policy.optimizer.zero_grad()
        loss.backward()
        policy.optimizer.step()
        with torch.no_grad():
            after = policy.predict_values(observation)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, policy.predict_values(observation).detach())


def test_activations_and_widths_are_those_asked_for(golden_task):
    options = {"branch_sizes": [512, 128], "actor_sizes": [64, 256], "critic_sizes": [128, 64], "activation": "tanh"}
    policy = make(golden_task, "embedding", **options)

    def sizes(network):
        return [layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear)]

    assert sizes(policy.cell_branch) == sizes(policy.target_branch) == [512, 128]
    assert sizes(policy.actor) == [64, 256, golden_task.n_actions]
    assert sizes(policy.critic) == [128, 64, 1]
    kinds = [{type(layer) for layer in part.modules()} for part in (policy.actor, policy.critic, policy.cell_branch)]
    assert [torch.nn.Tanh in kind for kind in kinds] == [True, True, False]
    assert [torch.nn.LeakyReLU in kind for kind in kinds] == [False, False, True]
    with pytest.raises(UserError, match=r"algo.policy_options.activation=elu: choose one of leaky_relu, relu, tanh"):
        network_of(golden_task, "embedding", {"activation": "elu"})


def test_demonstrations_are_observed_as_the_task_says(golden_table):
    for obs in ("index", "dict", "features"):
        task = ReprogrammingTask(golden_table, ReprogrammingConfig(task=TaskOptions(obs=obs, obs_noise=0.5)))
        shown = Demonstrator(task).draw(32, np.random.default_rng(0))
        cell, target = StateReader(task).read(shown.observations)
        assert (shown.masks == task.masks_train[cell]).all()
        assert (task.distance_train[cell, target] > 0).all()
        following = task.distance_train[task.table.next[cell], target[:, None]]
        assert (shown.best == (shown.masks & (following == task.distance_train[cell, target][:, None] - 1))).all()


def test_buffers_are_not_part_of_a_checkpoint(golden_task):
    assert not any("table" in key or "cells" in key for key in make(golden_task).state_dict())


def test_imitation_finds_the_shortest_paths(golden_task):
    policy = make(golden_task)
    shown = Demonstrator(golden_task)
    generator = np.random.default_rng(0)
    assert shown.draw(64, generator).best.any(axis=1).all()
    losses = []
    for _ in range(150):
        part = shown.draw(256, generator)
        logits = policy.get_distribution(torch.as_tensor(part.observations), part.masks).distribution.logits
        loss = -torch.logsumexp(logits.masked_fill(~torch.as_tensor(part.best), -torch.inf), dim=1).mean()
        policy.optimizer.zero_grad()
        loss.backward()
        policy.optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_policy_without_revisits_goes_on_to_new_cells(golden_task):
    class First:
        uses_masks = True

        def act(self, observation, *, masks, generator):
            return masks.argmax(axis=1)

    policy = WithoutRevisits(First(), golden_task)
    following, masks = golden_task.table.next, golden_task.masks_eval
    cell = np.flatnonzero(masks.any(axis=1))[:8]
    seen = [cell]
    for step in range(4):
        observation = observe(cell, np.zeros_like(cell)).numpy()
        actions = policy.act(observation, masks=masks[cell], generator=None, steps=np.full(len(cell), step))
        reached = following[cell, actions]
        for row in range(len(cell)):
            past = {int(cells[row]) for cells in seen}
            escapes = set(following[cell[row]][masks[cell[row]]].tolist()) - past
            assert reached[row] not in past or not escapes
        cell = np.where(masks[reached].any(axis=1), reached, cell)
        seen.append(reached)


def test_wrong_networks_are_refused(golden_task, golden_table):
    with pytest.raises(UserError, match=r"algo.policy=afterstat: did you mean afterstate\?"):
        network_of(golden_task, "afterstat", {})
    with pytest.raises(UserError, match=r"There is no key 'algo.policy_options.kapa'"):
        network_of(golden_task, "afterstate", {"kapa": 1.0})
    other = ReprogrammingTask(golden_table, ReprogrammingConfig(task=TaskOptions(obs="dict")))
    with pytest.raises(UserError, match=r"set env\.task\.obs=index"):
        network_of(other, "afterstate", {})
    assert network_of(golden_task, "afterstate", {})[0] is AfterstatePolicy


def test_a_task_without_any_way_has_no_demonstrations(golden_table):
    stuck = np.tile(np.arange(len(golden_table.next), dtype=np.int32)[:, None], (1, golden_table.next.shape[1]))
    task = ReprogrammingTask(replace(golden_table, next=stuck), ReprogrammingConfig())
    with pytest.raises(UserError, match=r"algo.warm_start=bc: no training cell has a way to another type, so"):
        Demonstrator(task)
