"""Listening tests: a run's stems as an experiment for webMUSHRA, and what its listeners said."""
