"""One run: users, stages, processes, from the first check to the finished data."""
