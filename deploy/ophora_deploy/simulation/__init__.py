"""A federation of many simulated sites on this machine, under Flower's simulation runtime."""
