"""The base of all rooms: facts of a request, errors, the ticker, supervision."""
