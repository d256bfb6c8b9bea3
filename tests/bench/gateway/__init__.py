"""The comparison of data paths, tried small."""
