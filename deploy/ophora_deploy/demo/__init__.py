"""The demo: three sites, a coordinator and a generator on one machine, on phantom videos.

Order: `sites` makes and curates the videos, `rounds` runs the federation, `evaluation` asks the
base and both releases for videos and judges them, `report` shows it all to a person.
"""
