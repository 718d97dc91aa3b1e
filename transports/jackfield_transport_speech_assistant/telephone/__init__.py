"""Telephones by way of Twilio: calls that come, calls that users have made, and the sound of both."""
