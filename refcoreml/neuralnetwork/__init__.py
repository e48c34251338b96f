"""The NeuralNetwork interpreter: engine, layers by family, and the way from features to blobs and back."""
