"""The report as one HTML file: what goes into it, in Python; what runs in it, as plain JavaScript and CSS beside."""
