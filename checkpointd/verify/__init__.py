"""The verification suite, split by the process that it runs in.

`scan` runs in a light child (numpy, h5py) and never imports TensorFlow; `load` runs in one with
TensorFlow and Keras; `keras_files` reads what both need of a model's configuration. Nothing is
imported here, because what one side needs the other may not have.
"""
