"""Everything about knowing when to quit."""
