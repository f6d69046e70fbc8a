"""Reports of an evaluation: tables, plots, JSON and HTML."""
