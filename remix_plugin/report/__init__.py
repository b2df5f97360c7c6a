"""One page about a results folder."""
