"""The machines of the lab: one QEMU process each. Nothing here knows of the EC2 API."""
