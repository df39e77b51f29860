"""The log outside its database: written, kept so that nobody can change it, and tried out again.

What lies in an archive is checked by `audit/verify.py archive`, with no database and no line of these rooms.
"""
