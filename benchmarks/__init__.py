"""Our code beside other people's, on identical work. See README.md."""
