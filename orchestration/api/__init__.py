"""The doors of the API about workflows, changes and runs."""
