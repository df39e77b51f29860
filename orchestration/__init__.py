"""What is changed and how it runs."""
