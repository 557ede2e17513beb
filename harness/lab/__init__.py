"""The virtual machine that the workbook brings along: recipe → disk → saved guest → machine."""
