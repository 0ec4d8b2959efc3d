"""What papers have published on each corpus: data, a file for each, and what shows it beside an evaluation."""
