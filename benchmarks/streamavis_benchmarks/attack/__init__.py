"""What a hostile peer costs a healthy one."""
