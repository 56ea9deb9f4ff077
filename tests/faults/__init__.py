"""What goes wrong below a store: full disks, failing syncs, killed processes, odd files."""
