"""One request, from its bytes to its record: connection, event stream, conversation."""
