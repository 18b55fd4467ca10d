"""Where networks and their steady states come from: files, cobra models, and builders of what is missing."""
