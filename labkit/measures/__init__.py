"""What is measured of a learner besides its score: its price, its inner workings."""
