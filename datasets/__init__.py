"""Public data sets: named, with licence and checksum, downloaded into a cache when a user asks for them."""
