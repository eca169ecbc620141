"""The web page of `sepkit serve` and its HTTP API: jobs in plain Python, the page and the addresses around them."""
