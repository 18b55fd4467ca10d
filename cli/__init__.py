"""The command line: one module per command, and the router in `main`."""
