"""What every command shares: configurations, JSON, flags, exit status."""
