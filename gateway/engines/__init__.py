"""The engines: where they are, how they are, how full they are, which of them gets a request."""
