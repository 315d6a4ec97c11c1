"""The data types and settings that every layer shares.

Standard library only, Python 3.9: the training job's interpreter imports them as well.
"""
