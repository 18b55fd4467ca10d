"""Any Gymnasium environment, by its id or from a user's own code, as a batch."""
