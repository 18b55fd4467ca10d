"""One training run: its loop, directory, checkpoints, trackers and display."""
