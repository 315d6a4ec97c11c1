"""Zygotes and their children: a fresh process for every checkpoint at the price of a warm one.

A zygote is an interpreter that has imported what a stage needs and done nothing else. For each
checkpoint it forks a child, which enters its sandbox, reads the job, answers line by line, and
exits. Standard library only (until a stage runs), Python 3.9.
"""
