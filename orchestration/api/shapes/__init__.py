"""What the API shows and takes about what is changed. Explicit fields only; unknown ones are refused."""
