"""The graphs of a SavedModel, read without TensorFlow: nodes, functions, objects, signatures."""
