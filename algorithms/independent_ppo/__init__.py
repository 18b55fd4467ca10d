"""Several learners in one community: a PPO for each agent, trained together."""
