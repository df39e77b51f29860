"""REST about people: oneself, one's tokens, teams."""
