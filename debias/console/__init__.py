"""What both command lines share: errors in one line, tables on the screen, checks of output files."""
