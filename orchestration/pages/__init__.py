"""The pages of changes and runs: each view fetches and authorises in one step, then calls one function."""
