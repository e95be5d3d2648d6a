"""How a page of the site is served to one browser on this machine, and to nobody else."""
