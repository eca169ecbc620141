"""Separators of others as sepkit methods, and the interfaces of the MDX and SDX challenges in both directions."""
