"""What steps print, once it is stored: its lines and bytes, its chain, where the bodies lie, and for how long.

The writing side is `engine/logs.py`: only the holder of a step's lease adds to a log.
"""
