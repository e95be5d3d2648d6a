"""What a site has curated, as one HTML page of counts and plots."""
