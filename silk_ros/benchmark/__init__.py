"""What this machine makes of the front-end: the `benchmark` command."""
