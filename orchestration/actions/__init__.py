"""The kinds of things a step does, one file each; `registry` knows them by name, `base` says what one is.

Light on purpose: a step's own process imports what is in here, without the product.
"""
