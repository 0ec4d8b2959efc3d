"""What a comparison leaves: a csv, a Markdown and a LaTeX table, a picture of intervals, and text for the screen."""
