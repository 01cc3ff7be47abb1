"""Pictures of faces with their landmarks."""
