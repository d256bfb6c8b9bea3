"""HTTP/1.1: clients' connections, and connections to engines."""
