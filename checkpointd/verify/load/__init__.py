"""The checks that need the model in memory, and the stage that runs them."""
