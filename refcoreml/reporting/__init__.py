"""What results are read from and written as: samples; tables, JSON and CSV; the style of figures; pages."""
