"""The demonstration: a real server process and two real devices live through the product's whole story."""
