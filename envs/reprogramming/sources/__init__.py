"""Where cells, regulator lists and finished tables come from."""
