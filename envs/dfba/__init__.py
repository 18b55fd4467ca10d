"""Microbial communities by dynamic flux balance analysis: microbes in a reactor, each of which is a linear program."""
