"""What an episode is: starts, targets, rewards, observations, measures."""
