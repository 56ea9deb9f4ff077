"""What happens to files while a store is open, from the system's word of it to units."""
