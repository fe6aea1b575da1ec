"""The typed foundation of the REST side: an endpoint is declared once, and checked, answered and documented from it."""
