"""Which of a card's models is loaded, and when the next one is: decisions only, without clock, sockets or processes."""
