"""Keeping a turn alive, or ending it in time, when a provider does not do its work."""
