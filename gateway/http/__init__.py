"""HTTP/1.1 to both sides: clients' connections and the engines'."""
