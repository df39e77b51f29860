"""The child side of a step: a warm fork server and one supervisor process for each step.

Standard library only, and loaded without the product: a supervisor holds no credentials, knows no database, and
learns what to run through one socket. When that socket closes, its worker is gone and the tree dies.
"""
