"""Fuzzing: what nobody should send is sent to a server with every door open, and it must go on as before."""
