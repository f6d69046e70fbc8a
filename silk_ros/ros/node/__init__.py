"""Code that every node of the package shares."""
