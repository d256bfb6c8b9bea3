"""The self check: the client's own error, against a server whose times are known."""
