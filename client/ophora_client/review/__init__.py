"""The site's own page where a person decides on clips; loopback only, every decision signed."""
