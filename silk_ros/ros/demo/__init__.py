"""The demo: the whole front-end on one machine, measured from outside."""
