"""Proofs that take long: a server under load for minutes, and calls in which everything goes wrong."""
