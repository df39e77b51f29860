"""The documents, and what makes their tables and pictures from the product itself."""
