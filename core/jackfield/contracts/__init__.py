"""What each kind of plugin promises, and the values that pass between plugins and the core."""
