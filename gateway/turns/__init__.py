"""Models that take turns on a card: carries out what `residency` decides, by way of the card's launcher."""
