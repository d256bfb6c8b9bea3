"""Numbers from records: metrics, intervals, targets, verdict. Pure."""
