"""What a culture is made of: its case, medium, reactor and reactions, and what microbes do within one step."""
