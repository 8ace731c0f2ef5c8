"""What this machine has: doctor, devices, calibrate."""
