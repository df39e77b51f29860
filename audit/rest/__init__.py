"""What every REST door of every floor shares: parsing, strict input, pages, versions, keys, problems.

Must never know a resource, a person or a permission.
"""
