"""The web server: routes of every door, and what all of them share (errors, limits, health, figures)."""
