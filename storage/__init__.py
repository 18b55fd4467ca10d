"""Files that survive a kill: absent, old or complete, and checked before they are read."""
