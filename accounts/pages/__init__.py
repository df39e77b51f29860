"""Pages about people: signing in, the profile, the demo's switch."""
