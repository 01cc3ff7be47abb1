"""What is on disk: landmarks, boxes, lists, pictures and annotated faces."""
