"""The real loaders: Keras 3, tf-keras, `tf.saved_model`, TensorFlow 1 sessions, `tf.train`."""
