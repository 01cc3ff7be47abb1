"""Speed of inference, of training, and of other systems."""
