"""Inputs for a model: those of the golden record, and those made from the model's own spec."""
