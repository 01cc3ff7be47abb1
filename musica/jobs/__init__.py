"""Long work over many pictures, videos or annotated faces."""
