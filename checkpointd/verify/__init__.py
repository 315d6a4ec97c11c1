"""The verification suite: one file a check, and the suite that orders them.

`scan` runs in a light child (numpy, h5py), `loading` in one with TensorFlow and Keras. Nothing
is imported here, because what one side needs the other may not have.
"""
