"""What the programs share: words and formats, never a decision. The lowest layer; it imports none of them."""
