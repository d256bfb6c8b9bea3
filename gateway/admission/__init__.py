"""Who may go to an engine now, who waits, who is refused."""
