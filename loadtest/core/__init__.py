"""What every room needs: errors, files, text fit to be shown. It knows nothing of load tests."""
