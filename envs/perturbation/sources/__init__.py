"""Where cells come from: files, public data sets and the built-in generator."""
