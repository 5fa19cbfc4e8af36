"""First article inspection: sample units are made and inspected before the run may start."""
