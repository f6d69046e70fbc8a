"""How fast pipelines run on this machine."""
