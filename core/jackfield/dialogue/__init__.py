"""What happens between a user's message and the answer."""
