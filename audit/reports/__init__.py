"""What leaves the house as a file. Must never hold a cell that a spreadsheet would execute."""
