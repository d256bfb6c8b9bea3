"""A deployment under load, and what it says of its memory."""
