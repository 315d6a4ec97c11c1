"""What a Keras file states about its model and its writer, read without Keras."""
