"""The doors of the API about policy and freezes."""
