"""Analysis: numbers from records, intervals, targets, verdict. Pure."""
