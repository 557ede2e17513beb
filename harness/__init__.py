"""The harness of the eBPF Workbook: it runs lessons in a real kernel and reads back what happened."""
