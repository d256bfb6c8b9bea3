"""The base of all rooms: errors, files, text that is safe to show."""
