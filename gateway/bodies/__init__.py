"""Request bodies: limits on what one may ask for, and the size and parts of its prompt."""
