"""What a command does together with the operator: plan, ask, lock, plan again, apply, report."""
