"""The checks that read a checkpoint's files without TensorFlow, and the stage that runs them."""
