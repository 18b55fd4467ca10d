"""Tables and figures, read from run directories alone."""
