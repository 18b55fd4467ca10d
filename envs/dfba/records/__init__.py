"""What a run keeps: tables by time, a policy's map, and how long its parts take."""
