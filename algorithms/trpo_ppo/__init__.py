"""PPO with a KL penalty around the policy that a natural-gradient step of TRPO leads to."""
