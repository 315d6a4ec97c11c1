"""The user's own objects, for Keras 3: what `custom_objects` of a config names."""

import keras

from tests.helpers.wild.custom import classes

OBJECTS = classes(keras)
globals().update(OBJECTS)
