"""What an evaluation leaves behind: tables, plots, JSON and HTML."""
