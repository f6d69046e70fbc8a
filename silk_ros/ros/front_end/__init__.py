"""The parts of the front-end node: its subscriptions, worker, publishers, parameters and statistics."""
