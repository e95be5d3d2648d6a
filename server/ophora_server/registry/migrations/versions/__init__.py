"""One module a revision; one that was released is never edited."""
