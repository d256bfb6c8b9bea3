"""`scripts/test` without words: everything that CI runs, side by side where it can be."""
