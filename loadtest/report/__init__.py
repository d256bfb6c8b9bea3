"""The report as data, page, table, charts and CSV."""
