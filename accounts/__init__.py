"""Who people are: accounts, the person behind each, teams, tokens."""
