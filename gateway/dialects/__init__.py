"""The APIs that clients speak. Each turns a request into a `Call`, and errors into its own shape."""
