"""How models of each framework are loaded and run; ``choose`` finds the one for a folder."""
