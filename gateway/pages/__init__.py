"""Pages that people look at in a browser, and the JSON that they read. Off the data path."""
