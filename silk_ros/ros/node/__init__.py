"""What every node of the package shares."""
