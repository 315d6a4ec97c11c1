"""The user's own objects, for tf-keras: what `custom_objects` of a config names."""

import tf_keras

from tests.helpers.wild.custom import classes

OBJECTS = classes(tf_keras)
globals().update(OBJECTS)
