"""From an image and a crop to the pyramid that a model looks at."""
