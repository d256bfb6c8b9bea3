"""A stack over the years: backups, and changes of version that undo themselves."""
