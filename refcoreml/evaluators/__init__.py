"""What runs each type of model: features in, features out. The interface that all of them have is in `base`."""
