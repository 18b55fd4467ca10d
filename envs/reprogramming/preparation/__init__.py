"""Steps between measured cells and the cells that networks are fitted to."""
